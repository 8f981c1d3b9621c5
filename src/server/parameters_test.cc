// The tables of parameters of all dialects, against what their parsers do.
#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <functional>
#include <set>
#include <string>

#include "server/anthropic_parse.h"
#include "server/api_page.h"
#include "server/openai_parse.h"
#include "server/refusal.h"
#include "server/responses_parse.h"

namespace dbrx {
namespace {

namespace json = boost::json;

const ParseOptions kOptions = {.n_ids = 100, .max_context = 1000};

TEST(AnthropicParams, AreThoseOfTheDocumentation) {
  const std::string page = api_page();
  ASSERT_FALSE(page.empty()) << "run the tests in the repository's root";
  const size_t begin = page.find("\n## Anthropic\n");
  const std::string section = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  const auto sentence = [&](const std::string& first) {
    const size_t at = section.find(first);
    return section.substr(at, section.find('.', at) - at);
  };
  const auto names = [](Support support) {
    std::set<std::string> all;
    for (const Parameter& parameter : anthropic_parameters()) {
      if (parameter.chat == support) all.emplace(parameter.name);
    }
    return all;
  };
  EXPECT_EQ(names_of_rows(section), names(Support::used));
  EXPECT_EQ(quoted_names(sentence("Without effect: ")), names(Support::no_effect));
  EXPECT_EQ(quoted_names(sentence("Refused, ")), names(Support::refused));
}

// One of each type that JSON has, all of them unlike anything that is asked for.
const std::array<std::pair<const char*, json::value>, 5> kWrong = {{
    {"a number", -7.5},
    {"a text", "wrong\u0001"},
    {"a truth", true},
    {"a list", json::array({json::array({json::object()})})},
    {"an object", json::object({{"wrong", json::array({json::object()})}})},
}};

// The types that a field may not have are refused by its name: so it is read, and its value looked
// at. Most fields have one or two types, none has four.
void expect_each_is_read(std::span<const Parameter> table, Endpoint endpoint,
                         const std::string& good,
                         const std::function<void(const std::string&)>& parse) {
  ASSERT_EQ(refusal([&] { parse(good); }), "accepted");
  for (const Parameter& parameter : table) {
    const Support support = endpoint == Endpoint::chat ? parameter.chat : parameter.completions;
    if (support != Support::used) continue;
    const std::string name(parameter.name);
    int n_refused = 0;
    std::string accepted;
    for (const auto& [type, value] : kWrong) {
      json::object body = json::parse(good).as_object();
      body[name] = value;
      const std::string text = refusal([&] { parse(json::serialize(body)); });
      const bool by_name = text.starts_with(name + "|") || text.starts_with(name + ".") ||
                           text.starts_with(name + "[");
      if (by_name) {
        ++n_refused;
      } else {
        accepted += std::string(" ") + type + ": " + text + ";";
      }
    }
    EXPECT_GE(n_refused, 2) << name << accepted;
  }
}

TEST(AllParams, AreReadInChats) {
  for (const Dialect dialect : {Dialect::openai, Dialect::databricks}) {
    expect_each_is_read(parameter_table(), Endpoint::chat,
                        R"({"messages": [{"role": "user", "content": "x"}]})",
                        [&](const std::string& body) {
                          parse_completion_request({.endpoint = Endpoint::chat, .dialect = dialect},
                                                   body, kOptions);
                        });
  }
}

TEST(AllParams, AreReadInCompletions) {
  for (const Dialect dialect : {Dialect::openai, Dialect::databricks}) {
    expect_each_is_read(parameter_table(), Endpoint::completions, R"({"prompt": "x"})",
                        [&](const std::string& body) {
                          parse_completion_request(
                              {.endpoint = Endpoint::completions, .dialect = dialect}, body,
                              kOptions);
                        });
  }
}

TEST(AllParams, AreReadInResponses) {
  expect_each_is_read(responses_parameters(), Endpoint::chat, R"({"input": "x"})",
                      [](const std::string& body) { parse_responses_request(body, kOptions); });
}

TEST(AllParams, AreReadInMessages) {
  expect_each_is_read(
      anthropic_parameters(), Endpoint::chat,
      R"({"messages": [{"role": "user", "content": "x"}], "max_tokens": 5})",
      [](const std::string& body) { parse_anthropic_request(body, kOptions, false); });
}

TEST(AnthropicParams, AChosenToolIsCalledOnceAndStrictIsATruth) {
  const auto parse = [](const std::string& tool, const std::string& choice) {
    return parse_anthropic_request(
        R"({"messages": [{"role": "user", "content": "x"}], "max_tokens": 5,
            "tools": [{"name": "f", "input_schema": {"type": "object"})" +
            tool + R"(}], "tool_choice": {)" + choice + "}}",
        kOptions, /*count_only=*/false);
  };
  const auto parallel = [&](const std::string& choice) {
    const json::value grammar = json::parse(parse("", choice).grammar->text);
    return grammar.at("parallel").as_bool();
  };
  EXPECT_FALSE(parallel(R"("type": "tool", "name": "f")"));
  EXPECT_TRUE(parallel(R"("type": "any")"));
  EXPECT_EQ(refusal([&] { parse(R"(, "strict": true)", R"("type": "any")"); }), "accepted");
  EXPECT_TRUE(refusal([&] {
                parse(R"(, "strict": "yes")", R"("type": "any")");
              }).starts_with("tools[0].strict|"));
}

TEST(OpenAiParams, UseRawPromptIsHonouredByBothDialects) {
  const auto wraps = [](Dialect dialect, const std::string& more) {
    return parse_completion_request({.endpoint = Endpoint::completions, .dialect = dialect},
                                    R"({"prompt": "x")" + more + "}", kOptions)
        .wrap_prompts;
  };
  for (const Dialect dialect : {Dialect::openai, Dialect::databricks}) {
    EXPECT_EQ(wraps(dialect, ""), dialect == Dialect::databricks);
    EXPECT_FALSE(wraps(dialect, R"(, "use_raw_prompt": true)"));
    EXPECT_TRUE(wraps(dialect, R"(, "use_raw_prompt": false)"));
  }
}

}  // namespace
}  // namespace dbrx
