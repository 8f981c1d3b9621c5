#include "text/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

Tokenizer make() { return Tokenizer::from_json(tiny::tokenizer_json(), "test"); }

// Rows of table 3-7 of the Unicode standard: the range of each byte of a well-formed sequence.
struct Row {
  int length;
  uint8_t low[4];
  uint8_t high[4];
};
constexpr Row kTable37[] = {
    {1, {0x00}, {0x7F}},
    {2, {0xC2, 0x80}, {0xDF, 0xBF}},
    {3, {0xE0, 0xA0, 0x80}, {0xE0, 0xBF, 0xBF}},
    {3, {0xE1, 0x80, 0x80}, {0xEC, 0xBF, 0xBF}},
    {3, {0xED, 0x80, 0x80}, {0xED, 0x9F, 0xBF}},
    {3, {0xEE, 0x80, 0x80}, {0xEF, 0xBF, 0xBF}},
    {4, {0xF0, 0x90, 0x80, 0x80}, {0xF0, 0xBF, 0xBF, 0xBF}},
    {4, {0xF1, 0x80, 0x80, 0x80}, {0xF3, 0xBF, 0xBF, 0xBF}},
    {4, {0xF4, 0x80, 0x80, 0x80}, {0xF4, 0x8F, 0xBF, 0xBF}},
};

// The same repair by another way: at each place the longest begin of any row.
std::string reference(const std::string& bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    size_t n_longest = 0;
    bool whole = false;
    for (const Row& row : kTable37) {
      size_t n = 0;
      while (n < static_cast<size_t>(row.length) && at + n < bytes.size()) {
        const auto byte = static_cast<uint8_t>(bytes[at + n]);
        if (byte < row.low[n] || byte > row.high[n]) break;
        ++n;
      }
      if (n > n_longest) {
        n_longest = n;
        whole = n == static_cast<size_t>(row.length);
      }
    }
    text += whole ? bytes.substr(at, n_longest) : "\uFFFD";
    at += std::max<size_t>(n_longest, 1);
  }
  return text;
}

// A sequence whose bytes stay near the borders of the table.
int32_t random_id(std::mt19937& random) {
  static constexpr uint8_t kEdges[] = {'A',  0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                       0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                       0xEE, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5};
  switch (random() % 4) {
    case 0:
      return static_cast<int32_t>(random() % 256);
    case 1:
      return 256 + static_cast<int32_t>(random() % 11);
    default:
      return kEdges[random() % std::size(kEdges)];
  }
}

TEST(StreamDecoder, PartsJoinToTheDecodingOfAllTokensForAnyBytes) {
  const Tokenizer tokenizer = make();
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<int32_t> ids;
    std::string bytes;
    std::string streamed;
    StreamDecoder decoder(tokenizer);
    for (size_t n = random() % 12; n > 0; --n) {
      ids.push_back(random_id(random));
      bytes += tokenizer.token_bytes(ids.back());
      const std::string part = decoder.push(ids.back());
      ASSERT_EQ(part, reference(part)) << "a part that is not valid UTF-8";
      streamed += part;
      // Nothing is held back but an incomplete character.
      ASSERT_EQ(reference(bytes).find(streamed), 0u);
      ASSERT_LE(reference(bytes).size() - streamed.size(), 3u);
    }
    streamed += decoder.finish();
    ASSERT_EQ(streamed, reference(bytes));
    ASSERT_EQ(streamed, tokenizer.decode(ids, true));
  }
}

TEST(StreamDecoder, HoldsBackAnIncompleteCharacter) {
  const Tokenizer tokenizer = make();
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(262), "");  // F0 9F
  EXPECT_EQ(decoder.push(0x98), "");
  EXPECT_EQ(decoder.push(0x80), "😀");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, ShowsIllFormedBytesAtOnceAndTheRestAtTheEnd) {
  const Tokenizer tokenizer = make();
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0xE2), "");
  EXPECT_EQ(decoder.push('A'), "\uFFFDA");
  EXPECT_EQ(decoder.push(0x80), "\uFFFD");
  EXPECT_EQ(decoder.push(0xC3), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, SpecialTokensAreShownOnlyOnRequest) {
  const Tokenizer tokenizer = make();
  StreamDecoder hiding(tokenizer);
  StreamDecoder showing(tokenizer, /*skip_special=*/false);
  EXPECT_EQ(hiding.push(tiny::added_id(3)), "");
  EXPECT_EQ(showing.push(tiny::added_id(3)), "<|im_end|>");
  EXPECT_EQ(hiding.push(1 << 20), "");
}

TEST(Utf8, ATerminalTakesNoOrdersFromAText) {
  EXPECT_EQ(without_controls("a\x1b[2J\r\n\tb"), "a\u241b[2J\u240d\n\tb");
  EXPECT_EQ(without_controls("\u009b31m\x7f \u00a0\u00e9\u20ac"),
            "\ufffd31m\ufffd \u00a0\u00e9\u20ac");
  EXPECT_EQ(without_controls(std::string(1, '\0')), "\u2400");
}

}  // namespace
}  // namespace dbrx
