#include "server/responses_parse.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "server/api_error.h"
#include "server/api_page.h"
#include "server/refusal.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr ParseOptions kOptions{.n_ids = 100, .max_context = 300};

CompletionRequest parse(const std::string& body) { return parse_responses_request(body, kOptions); }
// A request with these further fields.
CompletionRequest with(const std::string& fields) {
  return parse(R"({"input": "x", )" + fields + "}");
}
CompletionRequest with_items(const std::string& items) {
  return parse(R"({"input": )" + items + "}");
}

std::string field_refusal(const std::string& fields) {
  return refusal([&] { with(fields); });
}
std::string item_refusal(const std::string& item) {
  return refusal([&] { with_items("[" + item + "]"); });
}

// "role:content" of each.
std::vector<std::string> turns(const CompletionRequest& request) {
  std::vector<std::string> all;
  for (const ChatMessage& m : request.messages) all.push_back(m.role + ":" + m.content);
  return all;
}
using Turns = std::vector<std::string>;

TEST(ResponsesParse, TakesATextAndHasOpenAisDefaults) {
  const CompletionRequest r = parse(R"({"input": "Hi"})");
  EXPECT_EQ(turns(r), Turns{"user:Hi"});
  EXPECT_EQ(r.endpoint, Endpoint::chat);
  EXPECT_EQ(r.dialect, Dialect::responses);
  EXPECT_FALSE(r.model || r.max_tokens || r.top_logprobs || r.seed || r.grammar || r.stream);
  EXPECT_EQ(r.sampling.temperature, 1);
  EXPECT_EQ(r.echoed.at("store"), json::value(false));
  EXPECT_EQ(r.echoed.at("instructions"), json::value(nullptr));
  EXPECT_EQ(json::serialize(r.echoed.at("tools")), "[]");
  EXPECT_EQ(r.echoed.at("text").at("format").at("type"), "text");
}

TEST(ResponsesParse, ReadsWhatTheOtherRoutesRead) {
  const CompletionRequest r = with(R"("max_output_tokens": 7, "temperature": 0, "top_k": 3,
      "min_p": 0.5, "seed": -4, "stop": "z", "logit_bias": {"9": 1}, "priority": 2, "stream": true,
      "include": ["message.output_text.logprobs"], "top_logprobs": 2, "enable_safety_mode": true)");
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_EQ(r.sampling.temperature, 0);
  EXPECT_EQ(r.sampling.top_k, 3);
  EXPECT_EQ(r.sampling.min_p, 0.5F);
  EXPECT_EQ(r.seed, -4);
  EXPECT_EQ(r.stop.stop, std::vector<std::string>{"z"});
  EXPECT_EQ(r.sampling.logit_bias.size(), 1U);
  EXPECT_EQ(r.priority, 2);
  EXPECT_TRUE(r.stream);
  EXPECT_EQ(r.top_logprobs, 2);
  EXPECT_EQ(r.safety_field, "enable_safety_mode");
  EXPECT_TRUE(r.ignored.empty());
}

TEST(ResponsesParse, ReadsItems) {
  const CompletionRequest r = parse(R"({"instructions": "Be brief.", "input": [
      {"role": "developer", "content": "Rhyme."},
      {"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
        {"type": "output_text", "text": "c", "annotations": [], "logprobs": []}], "phase": null},
      {"role": "user", "content": "d"}]})");
  EXPECT_EQ(turns(r),
            (Turns{"system:Be brief.", "system:Rhyme.", "user:a\nb", "assistant:c", "user:d"}));
  EXPECT_TRUE(r.ignored.empty());
  EXPECT_EQ(with_items(R"([{"role": "user", "content": "a", "name": "x"}])").ignored,
            std::vector<std::string>{"input[].name"});
}

TEST(ResponsesParse, ShowsCallsAsChatCompletionsDo) {
  const std::string call = R"("name": "f", "arguments": "{\"a\":1}")";
  const CompletionRequest chat =
      parse_completion_request({.endpoint = Endpoint::chat},
                               R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": "t", "tool_calls": [
        {"id": "c1", "type": "function", "function": {)" +
                                   call + R"(}},
        {"id": "c2", "type": "function", "function": {)" +
                                   call + R"(}}]},
      {"role": "tool", "tool_call_id": "c2", "content": "2"},
      {"role": "tool", "tool_call_id": "c1", "content": "1"}]})",
                               kOptions);
  const CompletionRequest r = with_items(R"([{"role": "user", "content": "q"},
      {"type": "message", "role": "assistant", "content": "t"},
      {"type": "function_call", "id": "fc_1", "call_id": "c1", "status": "completed", )" +
                                         call + R"(},
      {"type": "function_call", "call_id": "c2", )" +
                                         call + R"(},
      {"type": "function_call_output", "call_id": "c2", "output": "2"},
      {"type": "function_call_output", "call_id": "c1", "output": [
        {"type": "input_text", "text": "1"}]}])");
  EXPECT_EQ(turns(r), turns(chat));
  // A call needs no text before it, and one that is not answered stays.
  EXPECT_EQ(turns(with_items(R"([{"type": "function_call", "call_id": "c", )" + call + "}]")),
            Turns{R"(assistant:<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>)"});
}

TEST(ResponsesParse, RefusesASchemaWhereItWouldHaveNoEffect) {
  for (const char* type : {"text", "json_object"}) {
    EXPECT_TRUE(field_refusal(R"("text": {"format": {"type": ")" + std::string(type) +
                              R"(", "schema": {"type": "integer"}}})")
                    .starts_with("text.format.schema|"));
  }
}

TEST(ResponsesParse, BindsAnswers) {
  EXPECT_EQ(with(R"("text": {"format": {"type": "json_object"}})").grammar->text,
            R"({"type": "object"})");
  const CompletionRequest r = with(R"("text": {"verbosity": "medium", "format": {
      "type": "json_schema", "name": "n", "strict": true, "schema": {"type": "integer"}}})");
  EXPECT_EQ(r.grammar->text, R"({"type":"integer"})");
  EXPECT_EQ(r.grammar->param, "text.format.schema");
  EXPECT_EQ(with(R"("structured_outputs": {"regex": "a+"})").grammar->kind, GrammarKind::regex);
  EXPECT_FALSE(with(R"("text": {"format": {"type": "text"}})").grammar);
  const CompletionRequest tools = with(R"("tools": [{"type": "function", "name": "f"}],
      "tool_choice": {"type": "function", "name": "f"})");
  EXPECT_TRUE(tools.calls_tools);
  EXPECT_TRUE(tools.messages.front().content.ends_with("</tools>"));
  EXPECT_EQ(
      json::serialize(tools.echoed.at("tools")),
      R"([{"type":"function","name":"f","description":null,"parameters":null,"strict":true}])");
}

TEST(ResponsesParse, EchoesTheValuesThatHold) {
  const json::object echoed = with(R"("text": {"format": null, "verbosity": null},
      "tools": [{"type": "function", "name": "f", "strict": false},
                {"type": "function", "name": "g", "strict": null}])")
                                  .echoed;
  EXPECT_EQ(json::serialize(echoed.at("text")),
            R"({"format":{"type":"text"},"verbosity":"medium"})");
  for (const json::value& tool : echoed.at("tools").as_array()) {
    EXPECT_EQ(tool.at("strict"), true);
  }
}

TEST(ResponsesParse, EchoesMetadataWithinOpenAisLimits) {
  const auto pairs = [](int n, size_t n_key, const std::string& value) {
    std::string list;
    for (int i = 0; i < n; ++i) {
      list += (i > 0 ? ", \"" : "\"") + std::string(n_key - 1, 'k') + static_cast<char>('a' + i) +
              "\": " + value;
    }
    return R"("metadata": {)" + list + "}";
  };
  std::string long_text = "\"";
  for (int i = 0; i < 512; ++i) long_text += "\u00e9";  // characters count, not bytes
  EXPECT_EQ(with(pairs(16, 64, long_text + "\"")).echoed.at("metadata").as_object().size(), 16U);
  EXPECT_TRUE(field_refusal(pairs(17, 2, R"("v")")).starts_with("metadata|"));
  EXPECT_TRUE(field_refusal(pairs(1, 65, R"("v")")).starts_with("metadata|"));
  EXPECT_TRUE(field_refusal(pairs(1, 2, long_text + "v\"")).starts_with("metadata|"));
  EXPECT_TRUE(field_refusal(pairs(1, 2, "1")).starts_with("metadata|"));
  EXPECT_TRUE(field_refusal(R"("metadata": [])").starts_with("metadata|"));
}

TEST(ResponsesParse, RefusesWhatItCannotDo) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("store": true)", "store"},
      {R"("previous_response_id": "resp_1")", "previous_response_id"},
      {R"("conversation": "conv_1")", "conversation"},
      {R"("background": true)", "background"},
      {R"("prompt": {"id": "pmpt_1"})", "prompt"},
      {R"("truncation": "auto")", "truncation"},
      {R"("reasoning": {"effort": "low"})", "reasoning"},
      {R"("service_tier": "flex")", "service_tier"},
      {R"("max_tokens": 3)", "max_tokens"},
      {R"("n": 2)", "n"},
      {R"("messages": [{"role": "user", "content": "x"}])", "messages"},
      {R"("response_format": {"type": "json_object"})", "response_format"},
      {R"("max_output_tokens": 0)", "max_output_tokens"},
      {R"("temperature": 3)", "temperature"},
      {R"("instructions": ["x"])", "instructions"},
      {R"("top_logprobs": 2)", "top_logprobs"},
      {R"("include": ["everything"])", "include"},
      {R"("include": "message.output_text.logprobs")", "include"},
      {R"("include": ["message.output_text.logprobs"], "tools": [{"type": "function", "name": "f"}])",
       "include"},
      {R"("text": {"format": {"type": "json_object"}}, "stop": "x")", "stop"},
      {R"("tools": [{"type": "function", "name": "f"}], "include_stop_str_in_output": true)",
       "include_stop_str_in_output"},
      {R"("return_token_ids": true)", "return_token_ids"},
      {R"("stream_options": {"include_obfuscation": false})", "stream_options"},
      {R"("stream": true, "stream_options": {"include_obfuscation": true})",
       "stream_options.include_obfuscation"},
      {R"("text": "plain")", "text"},
      {R"("text": {"verbosity": "low"})", "text.verbosity"},
      {R"("text": {"format": {"type": "xml"}})", "text.format"},
      {R"("text": {"format": {"type": "json_schema"}})", "text.format"},
      {R"("text": {"format": {"type": "json_object"}}, "structured_outputs": {"regex": "a"})",
       "structured_outputs.regex"},
      {R"("tools": [{"type": "web_search"}])", "tools[0]"},
      {R"("tools": [{"type": "custom", "name": "f"}])", "tools[0]"},
      {R"("tools": [{"name": "f"}])", "tools[0]"},
      {R"("tools": [{"type": "function", "name": "a b"}])", "tools[0].name"},
      {R"("tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "mcp"})",
       "tool_choice"},
      {R"("tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function"})",
       "tool_choice"},
  };
  for (const auto& [fields, param] : cases) {
    EXPECT_TRUE(field_refusal(fields).starts_with(std::string(param) + "|"))
        << fields << " -> " << field_refusal(fields);
  }
  EXPECT_TRUE(refusal([] { parse("{}"); }).starts_with("input|"));
  EXPECT_TRUE(refusal([] { with_items("[]"); }).starts_with("input|"));
  EXPECT_TRUE(refusal([] { with_items("7"); }).starts_with("input|"));
}

TEST(ResponsesParse, RefusesItemsThatItCannotShow) {
  const std::pair<const char*, const char*> cases[] = {
      {"7", "input[0]"},
      {R"({"content": "x"})", "input[0]"},
      {R"({"type": "reasoning", "summary": []})", "input[0]"},
      {R"({"type": "item_reference", "id": "msg_1"})", "input[0]"},
      {R"({"role": "tool", "content": "x"})", "input[0].role"},
      {R"({"role": "user"})", "input[0].content"},
      {R"({"role": "user", "content": 7})", "input[0].content"},
      {R"({"role": "user", "content": [{"type": "input_image", "image_url": "u"}]})",
       "input[0].content[0]"},
      {R"({"role": "user", "content": [{"type": "input_file", "file_id": "f"}]})",
       "input[0].content[0]"},
      {R"({"role": "user", "content": ["x"]})", "input[0].content[0]"},
      {R"({"type": "function_call", "name": "f", "arguments": "{}"})", "input[0]"},
      {R"({"type": "function_call", "call_id": "c", "name": "f", "arguments": "[1]"})",
       "input[0].arguments"},
      {R"({"type": "function_call_output", "call_id": "c", "output": "x"})", "input[0].call_id"},
      {R"({"role": "assistant", "content": "x"}, {"type": "function_call_output", "call_id": "c"})",
       "input[1].output"},
  };
  for (const auto& [item, param] : cases) {
    EXPECT_TRUE(item_refusal(item).starts_with(std::string(param) + "|"))
        << item << " -> " << item_refusal(item);
  }
}

TEST(ResponsesParse, AcceptsWhatAsksForNothing) {
  EXPECT_EQ(field_refusal(R"("store": false, "background": false, "previous_response_id": null,
      "truncation": "disabled", "reasoning": {"effort": "none", "summary": null}, "tools": [],
      "service_tier": "auto", "include": ["reasoning.encrypted_content"], "max_tool_calls": 3,
      "user": "u", "prompt_cache_key": "k", "stream_options": {}, "text": {}, "tool_choice": "auto")"),
            "accepted");
  EXPECT_EQ(field_refusal(R"("reasoning": {"effort": null})"), "accepted");
  EXPECT_TRUE(field_refusal(R"("reasoning": {"effort": "low", "summary": null})")
                  .starts_with("reasoning|"));
}

TEST(ResponsesParse, LimitsWhatAStreamRepeats) {
  const std::string long_one = R"("instructions": ")" + std::string(600'000, 'x') + "\"";
  EXPECT_TRUE(field_refusal(long_one + R"(, "stream": true)").starts_with("stream|"));
  EXPECT_EQ(field_refusal(long_one), "accepted");
}

TEST(ResponsesParse, NamesUnknownFields) {
  const std::string fields = R"({"input": "x", "frobnicate": 1, "text": {"tone": "kind"}})";
  EXPECT_EQ(parse(fields).ignored, (std::vector<std::string>{"frobnicate", "text.tone"}));
  ParseOptions strict = kOptions;
  strict.strict_params = true;
  EXPECT_TRUE(refusal([&] { parse_responses_request(fields, strict); }).starts_with("frobnicate|"));
}

TEST(ResponsesParams, AreThoseOfTheDocumentation) {
  const std::string page = api_page();
  ASSERT_FALSE(page.empty()) << "run the tests in the repository's root";
  const size_t begin = page.find("\n## Responses\n");
  const std::string section = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  const auto paragraph = [&](const std::string& first) {
    const size_t at = section.find("\n" + first);
    return section.substr(at, section.find("\n\n", at) - at);
  };
  const auto names = [](Support support) {
    std::set<std::string> all;
    for (const Parameter& p : responses_parameters()) {
      if (p.chat != support) continue;
      EXPECT_TRUE(all.insert(std::string(p.name)).second) << p.name;
    }
    return all;
  };
  EXPECT_EQ(names_of_rows(section), names(Support::used));
  EXPECT_EQ(quoted_names(paragraph("Without effect: ")), names(Support::no_effect));
  EXPECT_EQ(quoted_names(paragraph("Refused, ")), names(Support::refused));
}

}  // namespace
}  // namespace dbrx
