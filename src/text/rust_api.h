// The C functions of the Rust crate in rust/ (twin of rust/src/lib.rs), and their answers as C++
// sees them. Private to text: no header of this floor includes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

extern "C" {

struct DbrxTextTokenizer;
struct DbrxTextTemplate;
struct DbrxTextVocabulary;
struct DbrxTextGrammar;

enum DbrxTextStatus : int32_t {
  dbrx_text_ok = 0,
  dbrx_text_invalid_argument = 1,
  dbrx_text_unsupported = 2,
  dbrx_text_corrupt = 3,
  dbrx_text_resource_exhausted = 4,
  dbrx_text_internal = 5,
};

// Bytes lent to Rust for one call.
struct DbrxTextSlice {
  const char* data;
  size_t size;
};

// A payload, or the message of an error. The receiver frees it with dbrx_text_free.
struct DbrxTextAnswer {
  int32_t status;
  uint8_t* data;
  size_t size;
};

struct DbrxTextMessage {
  DbrxTextSlice role;
  DbrxTextSlice content;
};

void dbrx_text_free(DbrxTextAnswer answer);
DbrxTextAnswer dbrx_text_tokenizer_open(DbrxTextSlice json, DbrxTextTokenizer** handle);
void dbrx_text_tokenizer_close(DbrxTextTokenizer* handle);
DbrxTextAnswer dbrx_text_encode(const DbrxTextTokenizer* handle, DbrxTextSlice text,
                                int32_t as_tokens);
DbrxTextAnswer dbrx_text_split(const DbrxTextTokenizer* handle, DbrxTextSlice text);
DbrxTextAnswer dbrx_text_template_open(DbrxTextSlice source, DbrxTextSlice config,
                                       DbrxTextTemplate** handle);
void dbrx_text_template_close(DbrxTextTemplate* handle);
DbrxTextAnswer dbrx_text_render(const DbrxTextTemplate* handle, const DbrxTextMessage* messages,
                                size_t n_messages, int32_t add_generation_prompt);
DbrxTextAnswer dbrx_text_vocabulary_open(const DbrxTextTokenizer* tokenizer, int32_t eos,
                                         DbrxTextVocabulary** handle);
DbrxTextAnswer dbrx_text_vocabulary_of_bytes(int32_t n_ids, int32_t eos, DbrxTextSlice specials,
                                             DbrxTextVocabulary** handle);
void dbrx_text_vocabulary_close(DbrxTextVocabulary* handle);
DbrxTextAnswer dbrx_text_grammar_open(const DbrxTextVocabulary* vocabulary, DbrxTextSlice kind,
                                      DbrxTextSlice source, DbrxTextGrammar** handle);
DbrxTextAnswer dbrx_text_grammar_start(const DbrxTextGrammar* grammar, DbrxTextGrammar** handle);
void dbrx_text_grammar_close(DbrxTextGrammar* handle);
DbrxTextAnswer dbrx_text_grammar_mask(DbrxTextGrammar* handle, uint32_t* mask, size_t n_words,
                                      int32_t* may_end);
DbrxTextAnswer dbrx_text_grammar_accept(DbrxTextGrammar* handle, int32_t token, int32_t* over);

}  // extern "C"

namespace dbrx::rust {

inline DbrxTextSlice slice(std::string_view text) { return {text.data(), text.size()}; }

// Owns an answer. The constructor throws its error; `where` (a path, or "") goes before the
// message.
class Payload {
 public:
  explicit Payload(DbrxTextAnswer answer, const std::string& where = "") : answer_(answer) {
    if (answer.status == dbrx_text_ok) return;
    std::string message = where.empty() ? "" : where + ": ";
    message.append(bytes());
    dbrx_text_free(answer);
    throw Error{code(answer.status), message};
  }
  ~Payload() { dbrx_text_free(answer_); }
  Payload(const Payload&) = delete;
  Payload& operator=(const Payload&) = delete;

  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(answer_.data), answer_.size};
  }

  template <typename T>
  std::vector<T> copy_as() const {
    std::vector<T> values(answer_.size / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), answer_.data, values.size() * sizeof(T));
    return values;
  }

 private:
  static Code code(int32_t status) {
    switch (status) {
      case dbrx_text_invalid_argument:
        return Code::invalid_argument;
      case dbrx_text_unsupported:
        return Code::unsupported;
      case dbrx_text_corrupt:
        return Code::corrupt;
      case dbrx_text_resource_exhausted:
        return Code::resource_exhausted;
      default:
        return Code::internal;
    }
  }

  DbrxTextAnswer answer_;
};

}  // namespace dbrx::rust
