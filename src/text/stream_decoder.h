// The text of tokens that arrive one by one: never half a code point, never a byte that a later
// token could still change. Stop strings are the engine's matter.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace dbrx {

// One per answer; keeps a pointer to the tokenizer, which must outlive it. The outputs of all
// calls, joined, are Tokenizer::decode of all ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // Takes the next token and returns what can be shown now, often "". Up to 3 bytes of an
  // incomplete character wait for the next token; U+FFFD comes as soon as bytes are ill-formed.
  std::string push(int32_t id) {
    std::string text;
    if (!skip_special_ || !tokenizer_->is_special(id)) {
      repair_.push(tokenizer_->token_bytes(id), text);
    }
    return text;
  }

  // The end of the answer: U+FFFD if a character was left incomplete, else "".
  std::string finish() {
    std::string text;
    repair_.finish(text);
    return text;
  }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  Utf8Repair repair_;
};

}  // namespace dbrx
