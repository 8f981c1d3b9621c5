// Text to token ids and back, from a checkpoint's tokenizer.json. Only byte-level BPE (GPT-2's
// scheme: DBRX, Llama 3, Qwen and others) is supported. Chat turns are chat_template.h's matter,
// text that arrives token by token stream_decoder.h's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct DbrxTextTokenizer;

namespace dbrx {

// What the name of a special token means when it stands in a text.
enum class Specials {
  as_text,    // ordinary characters: the choice for anything that a user wrote
  as_tokens,  // the token: for prompts of the completion kind and for our own templates
};

// Immutable after load; every const method may be called from several threads. Movable.
class Tokenizer {
 public:
  // Reads model_dir/tokenizer.json. Throws Error: not_found (with the remedy, if other vocabulary
  // files are there), corrupt, or unsupported (for example another decoder than ByteLevel).
  static Tokenizer load(const std::filesystem::path& model_dir);
  // The same from the text of a tokenizer.json; `where` names it in errors.
  static Tokenizer from_json(std::string_view json, const std::string& where);

  // No token is added at the begin or the end. Throws Error invalid_argument if the text is not
  // valid UTF-8. With as_text the result never holds the id of a special token.
  std::vector<int32_t> encode(std::string_view text, Specials specials) const;

  // The raw bytes of a token, valid as long as the tokenizer; "" for any id without a token (holes,
  // padding rows beyond the vocabulary, negative ids).
  std::string_view token_bytes(int32_t id) const;

  // The bytes of the tokens, joined; ill-formed UTF-8 is replaced by U+FFFD, one per maximal
  // ill-formed subpart. Spaces are not "cleaned up". skip_special leaves special tokens out.
  std::string decode(std::span<const int32_t> ids, bool skip_special) const;

  bool is_special(int32_t id) const;
  std::optional<int32_t> special_id(std::string_view name) const;
  const std::map<std::string, int32_t, std::less<>>& special_ids() const { return special_ids_; }

  // The largest id plus one; the model's matrices may have more rows.
  int32_t n_ids() const { return static_cast<int32_t>(special_.size()); }

  struct Piece {
    int32_t id;             // an added token, or -1: text between such tokens
    std::string_view text;  // part of the argument of split
  };
  // Cuts the text at the added tokens that it names, special or not; the pieces cover the text.
  // encode(as_tokens) is the ids of these pieces, with encode(as_text) of those between.
  std::vector<Piece> split(std::string_view text) const;

 private:
  friend class GrammarCompiler;  // compiles for the tokens that rust_ has
  struct Close {
    void operator()(DbrxTextTokenizer* handle) const;
  };

  Tokenizer() = default;

  std::unique_ptr<DbrxTextTokenizer, Close> rust_;
  std::string bytes_;             // all tokens, one after the other
  std::vector<uint64_t> begins_;  // [n_ids + 1], offsets into bytes_
  std::vector<bool> special_;     // [n_ids]
  std::map<std::string, int32_t, std::less<>> special_ids_;
};

}  // namespace dbrx
