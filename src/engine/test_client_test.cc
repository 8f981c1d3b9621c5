// The tokenizer of the engine's tests, and that it is what they believe.
#include "engine/test_client.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

// How GPT-2's vocabularies write a byte: printable ones as themselves, the others as U+0100 and on.
std::string gpt2_name(int byte) {
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += !printable(b);
  }
  if (code == '"' || code == '\\') return std::string("\\") + static_cast<char>(code);
  if (code < 128) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

std::string tokenizer_json() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    vocab += '"' + gpt2_name(byte) + "\":" + std::to_string(byte) + ",";
  }
  const std::string e = gpt2_name(0xC3) + gpt2_name(0xA9);
  vocab += "\"ab\":256,\"bc\":257,\"" + e + "\":258";
  const auto special = [](int id, const std::string& name) {
    return "{\"id\":" + std::to_string(id) + ",\"content\":\"" + name +
           "\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
           "\"special\":true}";
  };
  const std::string level =
      "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
      "\"use_regex\":true}";
  return "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[" +
         special(kEndId, "<|end|>") + "," + special(kMarkId, "<|mark|>") +
         "],\"normalizer\":null,\"pre_tokenizer\":" + level + ",\"post_processor\":" + level +
         ",\"decoder\":" + level +
         ",\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
         "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
         "\"byte_fallback\":false,\"vocab\":{" +
         vocab + "},\"merges\":[\"a b\",\"b c\",\"" + gpt2_name(0xC3) + " " + gpt2_name(0xA9) +
         "\"]}}";
}

}  // namespace

const Tokenizer& test_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::from_json(tokenizer_json(), "test_tokenizer");
  return tokenizer;
}

TEST(TestTokenizer, has_the_tokens_that_the_tests_name) {
  const Tokenizer& t = test_tokenizer();
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(t.token_bytes(byte), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(t.token_bytes(kAbId), "ab");
  EXPECT_EQ(t.token_bytes(kBcId), "bc");
  EXPECT_EQ(t.token_bytes(kEAcuteId), "é");
  EXPECT_EQ(t.token_bytes(kHoleId), "");
  EXPECT_FALSE(t.is_special(kHoleId));
  EXPECT_TRUE(t.is_special(kEndId));
  EXPECT_TRUE(t.is_special(kMarkId));
  EXPECT_EQ(t.n_ids(), 262);
}

}  // namespace dbrx
