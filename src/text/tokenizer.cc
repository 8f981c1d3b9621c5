#include "text/tokenizer.h"

#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "text/rust_api.h"
#include "text/utf8.h"

namespace dbrx {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;

// What to do about a checkpoint without tokenizer.json, by what it has instead.
Error missing_file(const std::filesystem::path& model_dir) {
  const auto has = [&](const char* name) { return std::filesystem::exists(model_dir / name); };
  std::string message = (model_dir / "tokenizer.json").string() + " is missing. ";
  if (has("vocab.json") && has("merges.txt")) {
    message +=
        "The directory has vocab.json and merges.txt instead; convert them once with Python: "
        "transformers.AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)";
  } else if (has("tiktoken.py")) {
    message +=
        "The directory has tiktoken.py, which holds no vocabulary (the first DBRX release); copy "
        "tokenizer.json and tokenizer_config.json from a later release of the same model";
  } else {
    message += "Copy it from the model's repository";
  }
  return Error{Code::not_found, message};
}

}  // namespace

void Tokenizer::Close::operator()(DbrxTextTokenizer* handle) const {
  dbrx_text_tokenizer_close(handle);
}

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.json";
  if (!std::filesystem::exists(path)) throw missing_file(model_dir);
  return from_json(read_text_file(path, kMaxFileBytes), model_dir.string());
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& where) {
  Tokenizer tokenizer;
  DbrxTextTokenizer* handle = nullptr;
  const rust::Payload table(dbrx_text_tokenizer_open(rust::slice(json), &handle), where);
  tokenizer.rust_.reset(handle);

  // The table's layout: rust/src/tokenizer.rs, Tokenizer::vocabulary.
  const std::string_view bytes = table.bytes();
  const auto word = [&](size_t index) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
    return value;
  };
  const uint32_t n_ids = word(0);
  tokenizer.bytes_ = bytes.substr((n_ids + size_t{1}) * sizeof(uint32_t));
  tokenizer.begins_.push_back(0);
  for (uint32_t id = 0; id < n_ids; ++id) {
    const uint32_t entry = word(id + 1);
    tokenizer.begins_.push_back(tokenizer.begins_.back() + (entry & 0x7FFFFFFF));
    tokenizer.special_.push_back(entry >> 31 != 0);
  }
  for (int32_t id = 0; id < tokenizer.n_ids(); ++id) {
    if (tokenizer.is_special(id)) tokenizer.special_ids_.emplace(tokenizer.token_bytes(id), id);
  }
  return tokenizer;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, Specials specials) const {
  const int32_t as_tokens = specials == Specials::as_tokens ? 1 : 0;
  return rust::Payload(dbrx_text_encode(rust_.get(), rust::slice(text), as_tokens))
      .copy_as<int32_t>();
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= n_ids()) return {};
  return std::string_view(bytes_).substr(begins_[id], begins_[id + 1] - begins_[id]);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  Utf8Repair repair;
  std::string text;
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) repair.push(token_bytes(id), text);
  }
  repair.finish(text);
  return text;
}

bool Tokenizer::is_special(int32_t id) const { return id >= 0 && id < n_ids() && special_[id]; }

std::optional<int32_t> Tokenizer::special_id(std::string_view name) const {
  const auto found = special_ids_.find(name);
  return found == special_ids_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<Tokenizer::Piece> Tokenizer::split(std::string_view text) const {
  const auto triples =
      rust::Payload(dbrx_text_split(rust_.get(), rust::slice(text))).copy_as<int32_t>();
  std::vector<Piece> pieces;
  for (size_t i = 0; i + 2 < triples.size(); i += 3) {
    const auto begin = static_cast<size_t>(triples[i + 1]);
    const auto end = static_cast<size_t>(triples[i + 2]);
    pieces.push_back({triples[i], text.substr(begin, end - begin)});
  }
  return pieces;
}

}  // namespace dbrx
