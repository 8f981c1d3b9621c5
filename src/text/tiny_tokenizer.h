// For tests only: a byte-level BPE tokenizer of a few hundred tokens, made on the
// spot.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dbrx::tiny {

// The id of a one-byte token is its byte; then come the merges in their order, then a hole.
inline constexpr int32_t kNBytes = 256;
inline constexpr int32_t kFirstAddedId = 300;

struct AddedToken {
  std::string name;
  bool special = true;
};

struct TokenizerSpec {
  // The two parts of each new token, as plain bytes; both must be tokens already.
  std::vector<std::pair<std::string, std::string>> merges = {
      {"h", "e"},    {"l", "l"},       {"he", "ll"},     {"hell", "o"},
      {" ", "w"},    {"\xC3", "\xA9"}, {"\xF0", "\x9F"}, {"\xF0\x9F", "\x98"},
      {"\xA9", "x"}, {" ", " "},       {"\n", "\n"}};
  // Ids from kFirstAddedId on, every second one.
  std::vector<AddedToken> added = {
      {"<|endoftext|>"}, {"<|pad|>"}, {"<|im_start|>"}, {"<|im_end|>"}, {"<tool>", false}};
  std::string decoder = R"({"type": "ByteLevel"})";
  bool ignore_merges = false;
};

inline int32_t added_id(int index) { return kFirstAddedId + 2 * index; }

inline std::string utf8_of(uint32_t c) {
  if (c < 0x80) return {static_cast<char>(c)};
  return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
}

// GPT-2's writing of bytes as characters, as a JSON string.
inline std::string byte_level_name(std::string_view bytes) {
  std::string name = "\"";
  for (const char c : bytes) {
    const uint32_t byte = static_cast<uint8_t>(c);
    uint32_t shift = 0;  // the number of unprintable bytes below this one
    const auto printable = [](uint32_t b) {
      return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    };
    for (uint32_t b = 0; b < byte; ++b) shift += printable(b) ? 0 : 1;
    if (c == '"' || c == '\\') name += '\\';
    name += utf8_of(printable(byte) ? byte : 0x100 + shift);
  }
  return name + '"';
}

inline std::string tokenizer_json(const TokenizerSpec& spec = {}) {
  std::string vocab;
  std::string merges;
  std::string added;
  int32_t id = 0;
  const auto add = [&](const std::string& bytes) {
    vocab += (id > 0 ? "," : "") + byte_level_name(bytes) + ":" + std::to_string(id);
    ++id;
  };
  for (int32_t byte = 0; byte < kNBytes; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const auto& [left, right] : spec.merges) {
    merges +=
        (merges.empty() ? "[" : ",[") + byte_level_name(left) + "," + byte_level_name(right) + "]";
    add(left + right);
  }
  for (size_t i = 0; i < spec.added.size(); ++i) {
    added +=
        (i > 0 ? "," : "") + std::string(R"({"id":)") +
        std::to_string(added_id(static_cast<int>(i))) + R"(,"content":")" + spec.added[i].name +
        R"(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)" +
        (spec.added[i].special ? "true}" : "false}");
  }
  return R"({"version":"1.0","truncation":null,"padding":null,"normalizer":null,"added_tokens":[)" +
         added + R"(],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,)" +
         R"("trim_offsets":true,"use_regex":true},"post_processor":null,"decoder":)" +
         spec.decoder +
         R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,)" +
         R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":)" +
         (spec.ignore_merges ? "true" : "false") + R"(,"vocab":{)" + vocab + R"(},"merges":[)" +
         merges + "]}}";
}

}  // namespace dbrx::tiny
