// What a grammar allows, against what it says: by walks over all allowed tokens, and by texts
// that a JSON parser and std::regex judge.
#include "text/grammar.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <random>
#include <regex>
#include <thread>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

Tokenizer tiny() { return Tokenizer::from_json(tiny::tokenizer_json({}), "tiny"); }

bool allows(const std::vector<uint32_t>& mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

struct Fixture {
  Tokenizer tokenizer = tiny();
  GrammarCompiler compiler{tokenizer, tiny::added_id(0), "/proc/self/exe"};
  std::vector<uint32_t> mask =
      std::vector<uint32_t>((static_cast<size_t>(tokenizer.n_ids()) + 31) / 32);

  // Whether the grammar takes exactly this text, byte by byte.
  bool takes(GrammarKind kind, const std::string& source, const std::string& text) {
    GrammarMatcher matcher = compiler.compile(kind, source)->start();
    for (const char c : text) {
      if (matcher.is_over()) return false;
      matcher.mask(mask);
      const int32_t id = static_cast<unsigned char>(c);
      if (!allows(mask, id)) return false;
      matcher.accept(id);
    }
    return matcher.is_over() || matcher.mask(mask);
  }

  // Any text of the grammar, by random tokens; the end is taken where it may be, once in four.
  // Empty when it did not end within `limit` tokens.
  std::string wander(GrammarMatcher matcher, uint32_t seed, int limit) {
    std::minstd_rand random(seed);
    std::string text;
    for (int n = 0; n < limit; ++n) {
      if (matcher.is_over()) return text;
      const bool may_end = matcher.mask(mask);
      std::vector<int32_t> ids;
      for (int32_t id = 0; id < tokenizer.n_ids(); ++id) {
        if (allows(mask, id)) ids.push_back(id);
      }
      if (may_end && (ids.empty() || random() % 4 == 0)) return text;
      EXPECT_FALSE(ids.empty());
      const int32_t id = ids[random() % ids.size()];
      EXPECT_FALSE(tokenizer.is_special(id));
      text += tokenizer.token_bytes(id);
      matcher.accept(id);
    }
    return "";
  }

  Code refusal(GrammarKind kind, const std::string& source, std::string* why = nullptr) {
    try {
      compiler.compile(kind, source);
    } catch (const Error& error) {
      if (why != nullptr) *why = error.what();
      return error.code();
    }
    return Code::internal;
  }
};

TEST(Grammar, ChoiceTakesItsMembersOnly) {
  Fixture f;
  const std::string choices = R"(["yes", "no", "a \"quoted\"\nline", "h\u00e9"])";
  for (const char* text : {"yes", "no", "a \"quoted\"\nline", "h\xC3\xA9"}) {
    EXPECT_TRUE(f.takes(GrammarKind::choice, choices, text)) << text;
  }
  for (const char* text : {"", "y", "yesno", "No", "h"}) {
    EXPECT_FALSE(f.takes(GrammarKind::choice, choices, text)) << text;
  }
}

TEST(Grammar, RegexAsTheStandardLibraryReadsIt) {
  Fixture f;
  for (const char* pattern : {"[0-9]{3}-[0-9]{4}", "(he|ll)+o?", "a*b", "[^a-z]{2}"}) {
    const std::regex regex(pattern, std::regex::ECMAScript);
    for (const char* text : {"123-4567", "123-456", "hello", "hell", "aab", "b", "A1", "", "x"}) {
      EXPECT_EQ(f.takes(GrammarKind::regex, pattern, text), std::regex_match(text, regex))
          << pattern << " on " << text;
    }
  }
}

TEST(Grammar, SchemaTextsParseAndSatisfyIt) {
  Fixture f;
  const auto grammar = f.compiler.compile(GrammarKind::json_schema, R"({
      "type": "object", "additionalProperties": false, "required": ["id", "tags"],
      "properties": {"id": {"type": "integer", "minimum": 1, "maximum": 300},
                     "tags": {"type": "array", "items": {"enum": ["he", "hello"]}, "maxItems": 2},
                     "note": {"type": "string", "maxLength": 5}}})");
  int n_texts = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    const std::string text = f.wander(grammar->start(), seed, 2000);
    if (text.empty()) continue;
    ++n_texts;
    const boost::json::value value = boost::json::parse(text);
    const boost::json::object& object = value.as_object();
    EXPECT_GE(object.at("id").to_number<int>(), 1) << text;
    EXPECT_LE(object.at("id").to_number<int>(), 300) << text;
    EXPECT_LE(object.at("tags").as_array().size(), 2U) << text;
    for (const auto& tag : object.at("tags").as_array()) {
      EXPECT_TRUE(tag.as_string() == "he" || tag.as_string() == "hello") << text;
    }
    EXPECT_LE(object.size(), 3U);
  }
  EXPECT_GT(n_texts, 40);
}

// JSON allows any number of spaces; a model that only writes spaces must come to an end.
TEST(Grammar, WhitespaceInJsonIsBounded) {
  Fixture f;
  const std::string schema =
      R"({"type": "array", "items": {"type": "string"}, "x-guidance": {"whitespace_pattern": " *"}})";
  const std::string most(64, ' ');
  EXPECT_TRUE(f.takes(GrammarKind::json_schema, schema, "[" + most + "]"));
  EXPECT_FALSE(f.takes(GrammarKind::json_schema, schema, "[ " + most + "]"));
  EXPECT_TRUE(f.takes(GrammarKind::json_schema, schema, R"(["\"  )" + most + "\"" + most + "]"));
}

TEST(Grammar, LarkKnowsRules) {
  Fixture f;
  const std::string sums = "start: n (\"+\" n)*\nn: /[0-9]+/";
  EXPECT_TRUE(f.takes(GrammarKind::lark, sums, "1+23+4"));
  EXPECT_FALSE(f.takes(GrammarKind::lark, sums, "1+"));
}

TEST(Grammar, BadSourcesAreRefusedWithAReason) {
  Fixture f;
  std::string why;
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, "{", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, "[]", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, "false", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, R"({"type": "nothing"})", &why),
            Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, R"({"not": {"type": "string"}})", &why),
            Code::invalid_argument);
  EXPECT_NE(why.find("not"), std::string::npos) << why;
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, R"({"$ref": "https://example.com/a.json"})", &why),
            Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::regex, "(", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::regex, "(?=a)b", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::choice, "[]", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::choice, R"(["a", ""])", &why), Code::invalid_argument);
  EXPECT_EQ(f.refusal(GrammarKind::lark, "start: other", &why), Code::invalid_argument);
}

// Traps of other servers: schemas that keep a compiler busy for ever, or fill its memory.
TEST(Grammar, CompilingIsBounded) {
  Fixture f;
  // Compiles, since its states are made when they are needed; there the bound is met.
  GrammarMatcher matcher =
      f.compiler.compile(GrammarKind::regex, "((a{1,999}){1,999}){999}")->start();
  EXPECT_THROW(
      {
        for (int i = 0; i < 1000; ++i) {
          matcher.mask(f.mask);
          matcher.accept('a');
        }
      },
      Error);
  EXPECT_EQ(f.refusal(GrammarKind::regex, std::string(2 << 20, 'a')), Code::invalid_argument);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += R"({"type":"array","items":)";
  deep += "{}" + std::string(100, '}');
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, deep), Code::invalid_argument);
  std::string wide = R"({"type": "object", "properties": {)";
  for (int i = 0; i < 20000; ++i) {
    if (i > 0) wide += ",";
    wide += "\"p" + std::to_string(i) + R"(": {"type": "string", "pattern": "^(x|y){3,70}$"})";
  }
  EXPECT_EQ(f.refusal(GrammarKind::json_schema, wide + "}}"), Code::invalid_argument);
}

// Each rule needs the next one: what reads them by recursion goes as deep as the list is long.
TEST(Grammar, ALongChainOfRulesDoesNotExhaustTheStack) {
  Fixture f;
  constexpr int kRules = 1000;
  std::string source = "start: r0\n";
  for (int i = 0; i < kRules; ++i) {
    source += "r" + std::to_string(i) + ": \"a\" r" + std::to_string((i + 1) % kRules) + "?\n";
  }
  ASSERT_LE(source.size(), 16384U);
  try {
    f.compiler.compile(GrammarKind::lark, source);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
  }
}

// In "aaa...yx" the last character completes a rule of each one before it.
TEST(Grammar, RulesThatEndWithThemselvesAreBounded) {
  Fixture f;
  std::string source = "start: ";
  for (int i = 0; i < 200; ++i) source += (i > 0 ? "|r" : "r") + std::to_string(i);
  for (int i = 0; i < 200; ++i) {
    const std::string rule = "r" + std::to_string(i);
    source.append("\n").append(rule).append(": \"a\" ").append(rule).append(" | \"y\" x");
  }
  source += "\nx: \"x\"";
  GrammarMatcher matcher = f.compiler.compile(GrammarKind::lark, source)->start();
  EXPECT_THROW(
      {
        for (int i = 0; i < 1000; ++i) {
          matcher.mask(f.mask);
          matcher.accept('a');
        }
      },
      Error);
}

TEST(Grammar, LongTextsOfUsualRulesAreNotOverTheBound) {
  Fixture f;
  std::string sum = "1";
  for (int i = 0; i < 2000; ++i) sum += i % 3 == 0 ? "*(2+3)" : "+4";
  const std::string rules = R"~(start: sum
sum: product | sum "+" product | sum "-" product
product: atom | product "*" atom | product "/" atom
atom: /[0-9]+/ | "(" sum ")" | "-" atom)~";
  EXPECT_TRUE(f.takes(GrammarKind::lark, rules, sum));
}

TEST(Grammar, OneThatKeepsTheEngineWaitingIsGivenUp) {
  const Tokenizer tokenizer = tiny();
  GrammarCompiler compiler(tokenizer, tiny::added_id(0), "", /*max_mask_seconds=*/0);
  const auto grammar = compiler.compile(GrammarKind::regex, "a+");
  GrammarMatcher first = grammar->start();
  GrammarMatcher second = grammar->start();
  std::vector<uint32_t> mask((static_cast<size_t>(tokenizer.n_ids()) + 31) / 32);
  first.mask(mask);
  EXPECT_TRUE(grammar->too_slow());
  EXPECT_THROW(first.accept('a'), Error);
  EXPECT_THROW(second.mask(mask), Error);
  EXPECT_THROW(compiler.compile(GrammarKind::regex, "a+"), Error);
}

TEST(Grammar, OnlySoManyBytesOfThemAreKept) {
  Fixture f;
  const auto source = [](int i) {  // takes 20 MB
    return R"({"type": "array", "minItems": )" + std::to_string(500000 + i) + "}";
  };
  const auto large = [&](int i) { return f.compiler.compile(GrammarKind::json_schema, source(i)); };
#if defined(DBRX_ASAN) || defined(DBRX_TSAN)
  GTEST_SKIP() << "a sanitizer's malloc counts nothing";
#endif
  const auto first = large(0);
  EXPECT_EQ(large(0), first);
  for (int i = 1; i < 4; ++i) large(i);
  EXPECT_NE(large(0), first);
}

TEST(Grammar, TheSameSourceIsCompiledOnce) {
  const Tokenizer tokenizer = tiny();
  GrammarCompiler compiler(tokenizer, tiny::added_id(0), "");
  const auto first = compiler.compile(GrammarKind::regex, "a+");
  EXPECT_EQ(compiler.compile(GrammarKind::regex, "a+"), first);
  EXPECT_NE(compiler.compile(GrammarKind::lark, "start: /a+/"), first);
  for (int i = 0; i < 100; ++i) {
    compiler.compile(GrammarKind::regex, "b{" + std::to_string(i + 1) + "}");
  }
  EXPECT_NE(compiler.compile(GrammarKind::regex, "a+"), first);
}

TEST(Grammar, RefusalsPushNoGrammarOut) {
  const Tokenizer tokenizer = tiny();
  GrammarCompiler compiler(tokenizer, tiny::added_id(0), "");
  const auto good = compiler.compile(GrammarKind::regex, "a+");
  for (int i = 0; i < 300; ++i) {
    EXPECT_THROW(compiler.compile(GrammarKind::regex, "(" + std::to_string(i)), Error);
  }
  EXPECT_EQ(compiler.kept(GrammarKind::regex, "a+"), good);
}

TEST(Grammar, ARefusedSourceIsTriedOnce) {
  const TemporaryFolder dir;
  const std::filesystem::path trials = dir.path() / "trials";
  const std::filesystem::path program = dir.write(
      "program", "#!/bin/sh\necho trial >> " + trials.string() + "\nexec " +
                     std::filesystem::read_symlink("/proc/self/exe").string() + " \"$1\"\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  const Tokenizer tokenizer = tiny();
  GrammarCompiler compiler(tokenizer, tiny::added_id(0), program.string());
  const auto refusal = [&](const char* source) -> std::string {
    try {
      compiler.compile(GrammarKind::json_schema, source);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      return error.what();
    }
    return "";
  };
  const char* endless = R"({"type": "integer", "multipleOf": 99999989})";
  std::vector<std::string> found(8);
  std::vector<std::thread> threads;
  for (std::string& one : found) threads.emplace_back([&] { one = refusal(endless); });
  for (std::thread& thread : threads) thread.join();
  found.push_back(refusal(endless));
  EXPECT_EQ(std::filesystem::file_size(trials), std::string("trial\n").size());
  EXPECT_NE(found[0].find("to compile"), std::string::npos) << found[0];
  for (const std::string& one : found) EXPECT_EQ(one, found[0]);
  EXPECT_EQ(refusal(R"({"type": "nothing"})"), refusal(R"({"type": "nothing"})"));
}

TEST(Grammar, WithoutATrialNothingIsRememberedAsRefused) {
  const Tokenizer tokenizer = tiny();
  TemporaryFolder folder;
  const std::string program = folder.path() / "program";
  GrammarCompiler compiler(tokenizer, tiny::added_id(0), program);
  EXPECT_THROW(compiler.compile(GrammarKind::regex, "a"), Error);
  std::filesystem::create_symlink("/proc/self/exe", program);
  EXPECT_NO_THROW(compiler.compile(GrammarKind::regex, "a"));
}

TEST(Grammar, ThreadsShareOne) {
  Fixture f;
  const auto grammar = f.compiler.compile(GrammarKind::regex, "(he|ll|o){2,8}");
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < texts.size(); ++t) {
    threads.emplace_back([&, t] {
      Fixture own;
      for (int i = 0; i < 20; ++i) texts[t] = own.wander(grammar->start(), 7, 100);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, texts[0]);
  EXPECT_FALSE(texts[0].empty());
}

constexpr const char* kFunctions = R"("functions": [
  {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"},
     "days": {"type": "integer"}}, "required": ["city"]}},
  {"name": "stop", "parameters": {"type": "object", "properties": {}}}])";

std::string calls(bool required, bool parallel) {
  return std::string("{") + kFunctions + ", \"required\": " + (required ? "true" : "false") +
         ", \"parallel\": " + (parallel ? "true}" : "false}");
}

constexpr const char* kWeather =
    R"(<tool_call>{"name": "get_weather", "arguments": {"city": "O}slo", "days": 2}}</tool_call>)";
constexpr const char* kStop = R"(<tool_call>{"name": "stop", "arguments": {}}</tool_call>)";

TEST(Grammar, OfCallsTakesTextAndThenCallsOneALine) {
  Fixture f;
  const auto takes = [&](const std::string& text, bool required, bool parallel) {
    return f.takes(GrammarKind::calls, calls(required, parallel), text);
  };
  const std::string weather = kWeather;
  const std::string stop = kStop;
  for (const bool required : {false, true}) {
    EXPECT_TRUE(takes(weather, required, false));
    EXPECT_TRUE(takes(stop, required, true));
    EXPECT_TRUE(takes(weather + "\n" + stop + "\n" + weather, required, true));
    EXPECT_FALSE(takes(weather + "\n" + stop, required, false));
    EXPECT_FALSE(takes(weather + stop, required, true));
    EXPECT_FALSE(takes(weather + "\nmore text", required, true));
    EXPECT_FALSE(
        takes(R"(<tool_call>{"name": "other", "arguments": {}}</tool_call>)", required, true));
    EXPECT_FALSE(takes(R"(<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>)",
                       required, true));
    EXPECT_FALSE(
        takes(R"(<tool_call>{"name": "stop", "arguments": {"x": 1}}</tool_call>)", required, true));
  }
  for (const std::string text :
       {"", "no call: 1 < 2 <tool_cal </tool_call>\n", "<tool", "\xc3\xa9"}) {
    EXPECT_TRUE(takes(text, false, true)) << text;
    EXPECT_FALSE(takes(text, true, true)) << text;
  }
  EXPECT_TRUE(takes("Let me look.\n" + weather, false, true));
  EXPECT_TRUE(takes("<tool<tool_" + weather, false, true));
  EXPECT_FALSE(takes("Let me look.\n" + weather, true, true));
  EXPECT_FALSE(takes("text <tool_call>", false, true));
}

TEST(Grammar, OfCallsSaysWhoseParametersCannotBeHonoured) {
  Fixture f;
  const char* source = R"({"functions": [{"name": "good", "parameters": {"type": "object"}},
      {"name": "bad", "parameters": {"type": "object", "properties": {"x": {"type": "nothing"}}}}],
      "required": true, "parallel": true})";
  try {
    f.compiler.compile(GrammarKind::calls, source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("the parameters of bad: "), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace dbrx
