#include "server/openai_parse.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "server/api_error.h"
#include "server/api_page.h"
#include "server/json_fields.h"
#include "server/refusal.h"

namespace dbrx {
namespace {

constexpr ParseOptions kOptions{
    .max_choices = 8, .max_prompts = 4, .max_all_choices = 20, .n_ids = 100, .max_context = 300};

// A chat or completion request with these further fields.
CompletionRequest chat(const std::string& fields, ParseOptions options = kOptions) {
  const std::string messages = R"("messages": [{"role": "user", "content": "x"}])";
  return parse_completion_request({.endpoint = Endpoint::chat},
                                  "{" + messages + (fields.empty() ? "" : ", ") + fields + "}",
                                  options);
}
CompletionRequest complete(const std::string& fields) {
  return parse_completion_request({.endpoint = Endpoint::completions},
                                  R"({"prompt": "x", )" + fields + "}", kOptions);
}
CompletionRequest with_messages(const std::string& messages, ParseOptions options = kOptions) {
  return parse_completion_request({.endpoint = Endpoint::chat}, R"({"messages": )" + messages + "}",
                                  options);
}

std::string chat_refusal(const std::string& fields) {
  return refusal([&] { chat(fields); });
}
std::string message_refusal(const std::string& messages) {
  return refusal([&] { with_messages(messages); });
}

TEST(OpenAiParse, HasOpenAisDefaults) {
  CompletionRequest r = chat("");
  EXPECT_FALSE(r.model);
  EXPECT_FALSE(r.max_tokens);
  EXPECT_EQ(r.n, 1);
  EXPECT_EQ(r.sampling.temperature, 1);
  EXPECT_EQ(r.sampling.top_p, 1);
  EXPECT_EQ(r.sampling.top_k, 0);
  EXPECT_FALSE(r.seed);
  EXPECT_FALSE(r.stream);
  EXPECT_FALSE(r.top_logprobs);
  EXPECT_TRUE(r.skip_special_tokens);
  EXPECT_TRUE(r.ignored.empty());
}

TEST(OpenAiParse, ReadsEveryParameter) {
  CompletionRequest r = chat(
      R"("model": "m", "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1,
         "presence_penalty": -1, "frequency_penalty": 2, "repetition_penalty": 1.5,
         "logit_bias": {"5": -100, "99": 1.5}, "seed": -9223372036854775808, "stop": ["a", "b"],
         "stop_token_ids": [1, 2], "ignore_eos": true, "min_tokens": 3, "n": 8, "logprobs": true,
         "top_logprobs": 20, "stream": true, "stream_options": {"include_usage": true},
         "skip_special_tokens": false, "priority": -2, "include_stop_str_in_output": true,
         "return_token_ids": true, "return_routed_experts": true,
         "return_tokens_as_token_ids": true)");
  EXPECT_EQ(r.model, "m");
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_EQ(r.sampling.temperature, 0.5F);
  EXPECT_EQ(r.sampling.top_p, 0.9F);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_EQ(r.sampling.min_p, 0.1F);
  EXPECT_EQ(r.sampling.presence_penalty, -1);
  EXPECT_EQ(r.sampling.frequency_penalty, 2);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(r.sampling.logit_bias,
            (std::vector<std::pair<int32_t, float>>{{5, -100.F}, {99, 1.5F}}));
  EXPECT_EQ(r.seed, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(r.stop.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.stop.stop_token_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(r.stop.ignore_eos);
  EXPECT_EQ(r.stop.min_tokens, 3);
  EXPECT_EQ(r.n, 8);
  EXPECT_EQ(r.top_logprobs, 20);
  EXPECT_TRUE(r.stream);
  EXPECT_TRUE(r.include_usage);
  EXPECT_FALSE(r.skip_special_tokens);
  EXPECT_EQ(r.priority, -2);
  EXPECT_TRUE(r.stop.include_stop);
  EXPECT_TRUE(r.return_token_ids);
  EXPECT_TRUE(r.return_routed_experts);
  EXPECT_TRUE(r.by_id);
}

TEST(OpenAiParse, RefusesWaysToShowTokensThatCanNotBeHonoured) {
  EXPECT_EQ(chat_refusal(R"("return_tokens_as_token_ids": true)"),
            "return_tokens_as_token_ids|return_tokens_as_token_ids: has an effect only with "
            "logprobs");
  for (const char* bound :
       {R"("guided_choice": ["a"])", R"("response_format": {"type": "json_object"})",
        R"("tools": [{"type": "function", "function": {"name": "f"}}])"}) {
    const std::string found =
        chat_refusal(std::string(bound) + R"(, "include_stop_str_in_output": true)");
    EXPECT_TRUE(found.starts_with("include_stop_str_in_output|")) << found;
    EXPECT_EQ(chat_refusal(std::string(bound) + R"(, "include_stop_str_in_output": false)"),
              "accepted");
    EXPECT_TRUE(chat_refusal(std::string(bound) + R"(, "stop": "a")").starts_with("stop|"));
  }
}

TEST(OpenAiParse, TakesNullAsAbsentForEveryParameter) {
  for (const Parameter& parameter : parameter_table()) {
    if (parameter.name == "messages" || parameter.name == "prompt") continue;
    const std::string field = "\"" + std::string(parameter.name) + "\": null";
    EXPECT_NO_THROW(chat(field)) << field;
    EXPECT_NO_THROW(complete(field)) << field;
  }
}

TEST(OpenAiParse, NamesTheParameterTheExpectedAndTheFound) {
  EXPECT_EQ(chat_refusal(R"("temperature": "hot")"),
            "temperature|temperature: expected a number from 0 to 2, found \"hot\"");
  EXPECT_EQ(chat_refusal(R"("temperature": 2.5)"),
            "temperature|temperature: expected a number from 0 to 2, found 2.5");
  EXPECT_EQ(chat_refusal(R"("n": 0)"), "n|n: expected an integer from 1 to 8, found 0");
  EXPECT_EQ(chat_refusal(R"("n": 9)"), "n|n: expected an integer from 1 to 8, found 9");
  EXPECT_EQ(chat_refusal(R"("stream": "yes")"),
            "stream|stream: expected true or false, found \"yes\"");
  EXPECT_EQ(chat_refusal(R"("top_p": 0)"),
            "top_p|top_p: expected a number above 0, at most 1, found 0");
  EXPECT_EQ(chat_refusal(R"("max_tokens": 0)"),
            "max_tokens|max_tokens: expected an integer from 1, found 0");
  EXPECT_EQ(chat_refusal(R"("model": 3)"), "model|model: expected a string, found 3");
}

TEST(OpenAiParse, RefusesWrongTypesOfEveryUsedParameter) {
  for (const Parameter& parameter : parameter_table()) {
    if (parameter.chat != Support::used) continue;
    const std::string name(parameter.name);
    for (const char* wrong : {R"({"a": [1]})", "[[[]]]"}) {
      const bool is_schema = name == "guided_json" || name == "json_schema";
      if (is_schema && *wrong == '{') continue;  // an object is one, good or bad
      const std::string field = "\"" + name + "\": " + wrong;
      EXPECT_TRUE(chat_refusal(field).starts_with(name)) << field;
    }
  }
}

TEST(OpenAiParse, TakesIntegersWrittenAsFloatsButNoFractions) {
  EXPECT_EQ(chat(R"("max_tokens": 5.0)").max_tokens, 5);
  EXPECT_EQ(chat(R"("max_tokens": 1e2)").max_tokens, 100);
  EXPECT_TRUE(chat_refusal(R"("max_tokens": 5.5)").starts_with("max_tokens|"));
  EXPECT_TRUE(chat_refusal(R"("seed": 18446744073709551615)").starts_with("seed|"));
  EXPECT_TRUE(chat_refusal(R"("seed": 1e300)").starts_with("seed|"));
}

TEST(OpenAiParse, TakesTheLowerOfTheTwoTokenLimits) {
  EXPECT_EQ(chat(R"("max_completion_tokens": 4)").max_tokens, 4);
  EXPECT_EQ(chat(R"("max_tokens": 9, "max_completion_tokens": 4)").max_tokens, 4);
}

TEST(OpenAiParse, LetsTheLastOfDuplicateKeysWin) { EXPECT_EQ(chat(R"("n": 2, "n": 3)").n, 3); }

TEST(OpenAiParse, ReadsStopStrings) {
  EXPECT_EQ(chat(R"("stop": "x")").stop.stop, (std::vector<std::string>{"x"}));
  EXPECT_TRUE(chat(R"("stop": [])").stop.stop.empty());
  for (const char* wrong :
       {R"("")", R"(["a", ""])", R"(["a", null])", "3",
        R"(["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])"}) {
    EXPECT_TRUE(chat_refusal(std::string(R"("stop": )") + wrong).starts_with("stop|")) << wrong;
  }
}

TEST(OpenAiParse, ReadsEveryEnvelopeOfStructuredOutput) {
  const auto source = [](const std::string& fields) { return chat(fields).grammar.value(); };
  for (const char* fields :
       {R"("response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "strict": true, "schema": {"type": "null"}}})",
        R"("response_format": {"type": "json_schema", "schema": {"type": "null"}})",
        R"("response_format": {"type": "json_object", "schema": {"type": "null"}})",
        R"("structured_outputs": {"json": {"type": "null"}})",
        R"("structured_outputs": {"json": "{\"type\":\"null\"}"})",
        R"("guided_json": {"type": "null"})", R"("json_schema": {"type": "null"})"}) {
    EXPECT_EQ(source(fields).kind, GrammarKind::json_schema) << fields;
    EXPECT_EQ(source(fields).text, R"({"type":"null"})") << fields;
  }
  EXPECT_EQ(source(R"("response_format": {"type": "json_object"})").text, R"({"type": "object"})");
  EXPECT_EQ(source(R"("guided_regex": "a+")").kind, GrammarKind::regex);
  EXPECT_EQ(source(R"("structured_outputs": {"choice": ["a", "b"]})").text, R"(["a","b"])");
  EXPECT_EQ(source(R"("structured_outputs": {"grammar": "start: \"a\""})").kind, GrammarKind::lark);
  EXPECT_FALSE(chat(R"("response_format": {"type": "text"})").grammar);
  EXPECT_EQ(chat(R"("structured_outputs": {"json": {}, "backend": "x"})").ignored,
            std::vector<std::string>{"structured_outputs.backend"});
}

TEST(OpenAiParse, RefusesStructuredOutputThatMeansNothing) {
  for (const char* fields :
       {R"("response_format": {"type": "xml"})", R"("response_format": {})",
        R"("response_format": {"type": "json_schema"})",
        R"("response_format": {"type": "text", "json_schema": {"schema": {}}})",
        R"("response_format": {"type": "json_object", "json_schema": {"schema": {}}})",
        R"("response_format": {"type": "json_schema", "json_schema": {"name": "n"}})"}) {
    EXPECT_TRUE(chat_refusal(fields).starts_with("response_format")) << fields;
  }
  EXPECT_TRUE(chat_refusal(R"("guided_choice": [])").starts_with("guided_choice|"));
  EXPECT_NE(chat_refusal(R"("guided_grammar": "root ::= \"a\"")").find("GBNF"), std::string::npos);
  EXPECT_NE(chat_refusal(R"("guided_regex": "a", "json_schema": {})").find("bound by guided_regex"),
            std::string::npos);
}

TEST(OpenAiParse, RefusesStopsBesideAGrammar) {
  const std::string grammar = R"("guided_choice": ["a"], )";
  EXPECT_TRUE(chat_refusal(grammar + R"("stop": "x")").starts_with("stop|"));
  EXPECT_TRUE(chat_refusal(grammar + R"("stop_token_ids": [5])").starts_with("stop_token_ids|"));
}

TEST(OpenAiParse, BoundsTheLengthOfStopStrings) {
  const std::string longest(1024, 's');
  EXPECT_EQ(chat(R"("stop": [")" + longest + R"("])").stop.stop.front(), longest);
  EXPECT_NE(chat_refusal(R"("stop": ")" + longest + R"(s")").find("1024 bytes"), std::string::npos);
}

TEST(OpenAiParse, BoundsTheChoicesOfAllPromptsTogether) {
  EXPECT_EQ(parse_completion_request({.endpoint = Endpoint::completions},
                                     R"({"prompt": ["a", "b"], "n": 8})", kOptions)
                .n,
            8);
  const std::string found = refusal([] {
    parse_completion_request({.endpoint = Endpoint::completions},
                             R"({"prompt": ["a", "b", "c"], "n": 8})", kOptions);
  });
  EXPECT_TRUE(found.starts_with("n|")) << found;
  EXPECT_NE(found.find("24; one request gets 20"), std::string::npos) << found;
}

TEST(OpenAiParse, ReadsLogitBias) {
  EXPECT_TRUE(chat(R"("logit_bias": {})").sampling.logit_bias.empty());
  for (const char* wrong : {R"({"x": 1})", R"({"100": 1})", R"({"-1": 1})", R"({"1": 101})",
                            R"({"1": "a"})", "[1]", R"({"": 1})", R"({"1 ": 1})", R"({"01": 1})"}) {
    EXPECT_TRUE(chat_refusal(std::string(R"("logit_bias": )") + wrong).starts_with("logit_bias"))
        << wrong;
  }
  std::string many = "{";
  for (int i = 0; i < 1025; ++i) many += (i > 0 ? ", \"" : "\"") + std::to_string(i) + "\": 1";
  const std::string found = chat_refusal("\"logit_bias\": " + many + "}");
  EXPECT_NE(found.find("at most 1024"), std::string::npos) << found;
}

TEST(OpenAiParse, ReadsLogprobsInTheFormOfEachRoute) {
  EXPECT_EQ(chat(R"("logprobs": true)").top_logprobs, 0);
  EXPECT_EQ(chat(R"("logprobs": true, "top_logprobs": 3)").top_logprobs, 3);
  EXPECT_FALSE(chat(R"("logprobs": false, "top_logprobs": 0)").top_logprobs);
  EXPECT_TRUE(chat_refusal(R"("top_logprobs": 3)").starts_with("top_logprobs|"));
  EXPECT_TRUE(chat_refusal(R"("logprobs": 3)").starts_with("logprobs|"));
  EXPECT_TRUE(chat_refusal(R"("logprobs": true, "top_logprobs": 21)").starts_with("top_logprobs|"));
  EXPECT_EQ(complete(R"("logprobs": 3)").top_logprobs, 3);
  EXPECT_TRUE(refusal([] { complete(R"("logprobs": true)"); }).starts_with("logprobs|"));
}

TEST(OpenAiParse, TakesStreamOptionsOnlyWithAStream) {
  EXPECT_TRUE(
      chat_refusal(R"("stream_options": {"include_usage": true})").starts_with("stream_options|"));
  EXPECT_NO_THROW(chat(R"("stream_options": {})"));
  CompletionRequest r =
      chat(R"("stream": true, "stream_options": {"include_usage": true, "zzz": 1})");
  EXPECT_EQ(r.ignored, (std::vector<std::string>{"stream_options.zzz"}));
  r = chat(R"("stream": true, "stream_options": {"continuous_usage_stats": true})");
  EXPECT_TRUE(r.continuous_usage);
  EXPECT_FALSE(r.include_usage);
}

TEST(OpenAiParse, ReadsAllFormsOfPrompts) {
  auto prompts = [](const std::string& prompt) {
    return parse_completion_request({.endpoint = Endpoint::completions},
                                    R"({"prompt": )" + prompt + "}", kOptions)
        .prompts;
  };
  EXPECT_EQ(prompts(R"("a")"), (std::vector<Prompt>{"a"}));
  EXPECT_EQ(prompts(R"(["a", "b"])"), (std::vector<Prompt>{"a", "b"}));
  EXPECT_EQ(prompts("[1, 2]"), (std::vector<Prompt>{std::vector<int32_t>{1, 2}}));
  EXPECT_EQ(prompts("[[1], [2, 3]]"),
            (std::vector<Prompt>{std::vector<int32_t>{1}, std::vector<int32_t>{2, 3}}));
  for (const char* wrong :
       {R"("")", "[]", "[[]]", R"(["a", 1])", R"([1, "a"])", "[1.5]", "[100]", "[-1]", "null", "5",
        "{}", R"(["a", ""])", R"([[1], "a"])", R"(["1","2","3","4","5"])"}) {
    EXPECT_TRUE(refusal([&] { prompts(wrong); }).starts_with("prompt|")) << wrong;
  }
}

TEST(OpenAiParse, ReadsMessages) {
  CompletionRequest r = with_messages(
      R"([{"role": "developer", "content": "be brief"},
          {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
          {"role": "assistant", "content": null, "tool_calls": null, "refusal": null, "audio": null},
          {"role": "user", "content": "", "name": null}])");
  ASSERT_EQ(r.messages.size(), 4u);
  EXPECT_EQ(r.messages[0].role, "system");
  EXPECT_EQ(r.messages[1].content, "a\nb");
  EXPECT_EQ(r.messages[2].content, "");
  EXPECT_EQ(r.messages[3].content, "");
  EXPECT_TRUE(r.ignored.empty());
}

TEST(OpenAiParse, NamesTheMessageAtFault) {
  EXPECT_TRUE(message_refusal("[]").starts_with("messages|"));
  EXPECT_TRUE(message_refusal("{}").starts_with("messages|"));
  EXPECT_TRUE(message_refusal("[3]").starts_with("messages[0]|"));
  EXPECT_TRUE(message_refusal(R"([{"role": "user", "content": "a"}, {"content": "b"}])")
                  .starts_with("messages[1].role|"));
  EXPECT_TRUE(
      message_refusal(R"([{"role": "wizard", "content": "a"}])").starts_with("messages[0].role|"));
  EXPECT_TRUE(message_refusal(R"([{"role": "function", "content": "a"}])")
                  .starts_with("messages[0].role|"));
  EXPECT_TRUE(message_refusal(R"([{"role": "tool", "content": "a", "tool_call_id": "x"}])")
                  .starts_with("messages[0].tool_call_id|"));
  EXPECT_TRUE(message_refusal(R"([{"role": "user"}])").starts_with("messages[0].content|"));
  EXPECT_TRUE(
      message_refusal(R"([{"role": "user", "content": 3}])").starts_with("messages[0].content|"));
  std::string image = message_refusal(
      R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])");
  EXPECT_TRUE(image.starts_with("messages[0].content[0]|")) << image;
  EXPECT_NE(image.find("image_url"), std::string::npos);
  EXPECT_TRUE(message_refusal(R"([{"role": "assistant", "tool_calls": [{"id": "1"}]}])")
                  .starts_with("messages[0].tool_calls[0]|"));
}

TEST(OpenAiParse, NamesIgnoredFieldsOfMessages) {
  CompletionRequest r = with_messages(
      R"([{"role": "user", "content": "a", "name": "bob"}, {"role": "user", "content": "a", "name": "eve"}])");
  EXPECT_EQ(r.ignored, (std::vector<std::string>{"messages[].name"}));
  const std::string parts =
      R"([{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"},
           "annotations": []}, {"type": "text", "text": "b", "cache_control": 1}]}])";
  EXPECT_EQ(with_messages(parts).ignored,
            (std::vector<std::string>{"messages[].content[].cache_control"}));
  ParseOptions strict = kOptions;
  strict.strict_params = true;
  EXPECT_TRUE(refusal([&] { chat(R"("zzz": 1)", strict); }).starts_with("zzz|"));
  EXPECT_TRUE(refusal([&] {
                with_messages(parts, strict);
              }).starts_with("messages[].content[].cache_control|"));
  EXPECT_NO_THROW(chat(R"("user": "bob")", strict));
}

TEST(OpenAiParse, BoundsTheMessagesAndTheIgnoredNames) {
  auto messages = [](int n) {
    std::string list;
    for (int i = 0; i < n; ++i) {
      list += std::string(i > 0 ? "," : "[") + R"({"role": "user", "content": "a", "f)" +
              std::to_string(i) + R"(": 1})";
    }
    return list + "]";
  };
  CompletionRequest r = with_messages(messages(300));
  EXPECT_EQ(r.messages.size(), 300u);
  EXPECT_EQ(r.ignored.size(), 256u);
  const std::string found = message_refusal(messages(301));
  EXPECT_TRUE(found.starts_with("messages|")) << found;
  EXPECT_NE(found.find("300 tokens; there are 301 messages"), std::string::npos) << found;
}

TEST(OpenAiParams, RefusesKnownParametersUnlessTheyAskForNothing) {
  EXPECT_TRUE(chat_refusal(R"("functions": [{"name": "f"}])").starts_with("functions|"));
  EXPECT_EQ(chat_refusal(R"("tools": [], "tool_choice": "none", "store": false, "best_of": 1.0,
      "response_format": {"type": "text"}, "prediction": {"type": "content"}, "modalities": ["text"], "service_tier": "auto",
      "add_generation_prompt": true, "length_penalty": 1, "suffix": "", "audio": null)"),
            "accepted");
  EXPECT_TRUE(
      chat_refusal(R"("add_generation_prompt": false)").starts_with("add_generation_prompt|"));
  EXPECT_TRUE(chat_refusal(R"("best_of": 2)").starts_with("best_of|"));
  EXPECT_TRUE(chat_refusal(R"("store": true)").starts_with("store|"));
  EXPECT_TRUE(chat_refusal(R"("do_sample": false)").starts_with("do_sample|"));
  EXPECT_NE(chat_refusal(R"("max_new_tokens": 5)").find("use max_tokens"), std::string::npos);
  EXPECT_NE(chat_refusal(R"("prompt": "a")").find("/v1/completions"), std::string::npos);
}

std::set<std::string> names_in_table(Support support) {
  std::set<std::string> names;
  for (const Parameter& p : parameter_table()) {
    // Some are used by one of the routes and refused by the other.
    const Support most = p.completions == Support::used ? Support::used : p.chat;
    if (most == support) names.insert(std::string(p.name));
  }
  return names;
}

TEST(OpenAiParams, AreThoseOfTheDocumentation) {
  const std::string page = api_page();
  ASSERT_FALSE(page.empty()) << "run the tests in the repository's root";
  auto section = [&](const std::string& title, const std::string& first) {
    const size_t begin = page.find(first, page.find("\n### " + title + "\n"));
    return page.substr(begin, page.find("\n### ", begin) - begin);
  };
  EXPECT_EQ(names_of_rows(section("Used", "\n| `")), names_in_table(Support::used));
  EXPECT_EQ(quoted_names(section("Without effect", "\n\n")), names_in_table(Support::no_effect));
  EXPECT_EQ(quoted_names(section("Refused", "\n* ")), names_in_table(Support::refused));
}

TEST(OpenAiParams, HasNoNameTwice) {
  std::set<std::string_view> names;
  for (const Parameter& parameter : parameter_table()) {
    EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name;
  }
}

TEST(JsonFields, ShortensExcerptsAtCharacters) {
  const boost::json::value text = boost::json::string("\u00e9\u00e9\u00e9\u00e9");
  EXPECT_EQ(excerpt(text, 60), "\"\u00e9\u00e9\u00e9\u00e9\"");
  EXPECT_EQ(excerpt(text, 4), "\"\u00e9...");
  EXPECT_EQ(excerpt(text, 5), "\"\u00e9\u00e9...");
}

}  // namespace
}  // namespace dbrx
