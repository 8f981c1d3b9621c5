// The logprobs objects of OpenAI's and vLLM's answers. Pure.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/request.h"
#include "text/tokenizer.h"

namespace dbrx {

// Writes the logprobs of all endpoints, as JSON texts: answers with many of them are
// large, and a tree of JSON values many times as large.
class LogprobsFormat {
 public:
  // by_id: chat() and completions() name tokens "token_id:<id>", not by their texts.
  explicit LogprobsFormat(const Tokenizer& tokenizer, bool by_id = false)
      : tokenizer_(tokenizer), by_id_(by_id) {}

  // [{"token", "logprob", "bytes", "top_logprobs"}]
  std::string list(std::span<const TokenInfo> tokens) const;
  // {"content": list}
  std::string chat(std::span<const TokenInfo> tokens) const;
  // {"tokens", "token_logprobs", "top_logprobs", "text_offset"} of an echoed prompt (n_top of its
  // alternatives) and generated tokens; offsets count characters, from text_offset on, which is
  // moved behind these tokens. The first token of a prompt has null for logprobs.
  std::string completions(std::span<const TokenInfo> prompt, int32_t n_top,
                          std::span<const TokenInfo> tokens, int64_t& text_offset) const;
  // vLLM's prompt_logprobs: a list with, per token, null or
  // {"<id>": {"logprob", "rank", "decoded_token"}} of n_top alternatives and the token itself.
  std::string prompt(std::span<const TokenInfo> tokens, int32_t n_top) const;

 private:
  std::string name(int32_t id) const;  // of a token, in the forms of completions
  std::string name_or_id(int32_t id) const;
  boost::json::object chat_token(int32_t id, float logprob) const;

  const Tokenizer& tokenizer_;
  bool by_id_;
};

// A float's logprob as the shortest number that reads back as that float; -inf, which JSON lacks,
// as -9999.
double json_logprob(float logprob);

// A token's bytes when they are UTF-8, else each byte as \xNN.
std::string token_text(std::string_view bytes);

}  // namespace dbrx
