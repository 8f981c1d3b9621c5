// Calls in the text of an answer: the same whatever its pieces are.
#include "server/tool_calls.h"

#include <gtest/gtest.h>

#include <random>

namespace dbrx {
namespace {

struct Read {
  std::string text;
  std::vector<ToolCall> calls;
};

// Reads a text in pieces that end at `cuts`.
Read read(const std::string& text, const std::vector<size_t>& cuts) {
  ToolCallParser parser("call_");
  Read all;
  const auto take = [&](const ToolCallParser::Piece& piece) {
    all.text += piece.text;
    for (const ToolCallDelta& delta : piece.calls) {
      EXPECT_EQ(delta.id.empty(), delta.name.empty());
      if (!delta.id.empty()) {
        EXPECT_EQ(static_cast<size_t>(delta.index), all.calls.size());
        all.calls.push_back({.id = delta.id, .name = delta.name});
      }
      ASSERT_EQ(static_cast<size_t>(delta.index) + 1, all.calls.size());
      all.calls.back().arguments += delta.arguments;
    }
  };
  size_t begin = 0;
  for (const size_t cut : cuts) {
    take(parser.push(std::string_view(text).substr(begin, cut - begin)));
    begin = cut;
  }
  take(parser.push(std::string_view(text).substr(begin)));
  take(parser.finish());
  EXPECT_EQ(static_cast<size_t>(parser.n_calls()), all.calls.size());
  return all;
}

const std::string kFirst = R"({"city": "a\"}{]</tool_call>", "list": [{"x": 1}, []]})";

TEST(ToolCallParser, ReadsTheSameInPiecesOfAnySize) {
  const std::string text =
      "Let me look: 1 < 2 \n\n" + call_text("get_weather", kFirst) + "\n" + call_text("stop", "{}");
  std::minstd_rand random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<size_t> cuts;
    for (size_t i = 1; i < text.size(); ++i) {
      if (round == 0 || random() % 8 == 0) cuts.push_back(i);
    }
    const Read found = read(text, cuts);
    EXPECT_EQ(found.text, "Let me look: 1 < 2");
    ASSERT_EQ(found.calls.size(), 2u);
    EXPECT_EQ(found.calls[0].name, "get_weather");
    EXPECT_EQ(found.calls[0].arguments, kFirst);
    EXPECT_EQ(found.calls[1].arguments, "{}");
    EXPECT_NE(found.calls[0].id, found.calls[1].id);
    EXPECT_TRUE(found.calls[0].id.starts_with("call_"));
  }
}

TEST(ToolCallParser, LeavesTextWithoutCallsAsItIs) {
  for (const std::string text : {"", "  \n", "a <tool", "<tool_cal l>", "a \n", "<<tool_call"}) {
    const Read found = read(text, {text.size() / 2});
    EXPECT_EQ(found.text, text);
    EXPECT_TRUE(found.calls.empty());
  }
}

TEST(ToolCallParser, KeepsTextBackOnlyWhileItMayBelongToACall) {
  ToolCallParser parser("call_");
  EXPECT_EQ(parser.push("one \n<").text, "one");
  EXPECT_EQ(parser.push("b> ").text, " \n<b>");
  EXPECT_EQ(parser.push("two").text, " two");
}

TEST(ToolCallParser, GivesWhatThereIsOfACallThatWasCutOff) {
  const std::string call = call_text("f", R"({"a": "b"})");
  EXPECT_TRUE(read("x" + call.substr(0, 20), {}).calls.empty());
  const Read found = read("x\n" + call.substr(0, call.size() - 14), {3});
  EXPECT_EQ(found.text, "x");
  ASSERT_EQ(found.calls.size(), 1u);
  EXPECT_EQ(found.calls[0].arguments, R"({"a": "b")");
}

}  // namespace
}  // namespace dbrx
