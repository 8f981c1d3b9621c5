// Functions, calls and results in requests of chat completions.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/openai_parse.h"
#include "server/refusal.h"

namespace dbrx {
namespace {

CompletionRequest parse(const std::string& fields) {
  return parse_completion_request({.endpoint = Endpoint::chat}, "{" + fields + "}",
                                  {.n_ids = 100, .max_context = 1000});
}

std::string param_at_fault(const std::string& fields) {
  const std::string text = refusal([&] { parse(fields); });
  return text.substr(0, text.find('|'));
}

// A conversation in which `calls` are answered by `results`.
std::string conversation(const std::string& calls, const std::string& results) {
  return R"("messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": null, "tool_calls": [)" +
         calls + "]}, " + results + "]";
}
std::string call(const std::string& id, const std::string& arguments) {
  return R"({"id": ")" + id + R"(", "type": "function", "function": {"name": "f", "arguments": )" +
         arguments + "}}";
}
std::string result(const std::string& id, const std::string& content) {
  return R"({"role": "tool", "tool_call_id": ")" + id + R"(", "content": ")" + content + R"("})";
}

TEST(OpenAiTools, NoResultIsLost) {
  const std::string two = call("a", R"("{}")") + ", " + call("b", R"("{}")");
  EXPECT_EQ(
      parse(conversation(two, result("b", "2") + ", " + result("a", "1"))).messages.back().content,
      "<tool_response>1</tool_response>\n<tool_response>2</tool_response>");
  EXPECT_EQ(param_at_fault(conversation(two, result("a", "1") + ", " + result("a", "2"))),
            "messages[3].tool_call_id");
  EXPECT_EQ(
      param_at_fault(conversation(
          two, result("a", "1") + R"(, {"role": "user", "content": "and?"}, )" + result("b", "2"))),
      "messages[4].tool_call_id");
  const std::string nameless = call("", R"("{}")") + ", " + call("", R"("{}")");
  EXPECT_EQ(param_at_fault(conversation(nameless, result("", "1") + ", " + result("", "2"))),
            "messages[3].tool_call_id");
}

TEST(OpenAiTools, ArgumentsAreShownWithTheirNumbersAsTheyAre) {
  const auto shown = [&](const std::string& arguments) {
    return parse(conversation(call("a", arguments), result("a", "1"))).messages[1].content;
  };
  const auto text = [](const std::string& arguments) {
    return R"(<tool_call>{"name": "f", "arguments": )" + arguments + "}</tool_call>";
  };
  EXPECT_EQ(shown(R"("{\"x\": 0.1, \"y\": [2.5, -3, 1e3]}")"),
            text(R"({"x": 0.1, "y": [2.5, -3, 1000]})"));
  EXPECT_EQ(shown(R"("")"), text("{}"));
  const std::string deep = std::string(50, '[') + std::string(50, ']');
  EXPECT_EQ(shown(R"("{\"x\":)" + deep + R"(}")"), text(R"({"x": )" + deep + "}"));
  EXPECT_EQ(param_at_fault(conversation(call("a", R"("{")"), result("a", "1"))),
            "messages[1].tool_calls[0].function.arguments");
}

TEST(OpenAiTools, UnknownMembersAreNamed) {
  const CompletionRequest r = parse(
      conversation(R"({"id": "a", "type": "function", "index": 0, "x": 1,
                       "function": {"name": "f", "arguments": "{}", "y": 1}})",
                   result("a", "1")) +
      R"(, "tools": [{"type": "function", "cache_control": {"a": 1}, "function": {"name": "f", "z": 1}}],
           "tool_choice": {"type": "function", "mode": 1, "function": {"name": "f"}})");
  EXPECT_EQ(r.ignored, (std::vector<std::string>{
                           "messages[].tool_calls[].x", "messages[].tool_calls[].function.y",
                           "tools[].cache_control", "tools[].function.z", "tool_choice.mode"}));
}

}  // namespace
}  // namespace dbrx
