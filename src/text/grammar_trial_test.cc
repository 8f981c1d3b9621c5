// Sources that keep llguidance busy for ever or fill the memory, against a clock; and that what is
// tried is judged as it would be without a trial.
#include "text/grammar_trial.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "text/grammar.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

constexpr const char* kThisProgram = "/proc/self/exe";
constexpr const char* kEndless = R"({"type": "integer", "multipleOf": 99999989})";

Tokenizer tiny() { return Tokenizer::from_json(tiny::tokenizer_json({}), "tiny"); }

struct Verdict {
  bool good = false;
  Code code = Code::internal;
  std::string why = "";
  size_t kept_bytes = 0;
};

Verdict try_grammar(const std::string& kind, const std::string& source,
                    const std::string& program = kThisProgram) {
  const Tokenizer tokenizer = tiny();
  try {
    const size_t kept = GrammarTrial(program, tokenizer, tiny::added_id(0)).run(kind, source);
    return {.good = true, .kept_bytes = kept};
  } catch (const Error& error) {
    return {.code = error.code(), .why = error.what()};
  }
}

void expect_over_budget(const std::string& kind, const std::string& source,
                        const std::string& budget) {
  Verdict verdict = try_grammar(kind, source);
  // A machine can be too busy to tell; who is told so asks again.
  for (int i = 0; i < 5 && verdict.code == Code::resource_exhausted; ++i) {
    verdict = try_grammar(kind, source);
  }
  EXPECT_FALSE(verdict.good);
  EXPECT_EQ(verdict.code, Code::invalid_argument);
  EXPECT_NE(verdict.why.find("more than " + budget), std::string::npos) << verdict.why;
}

TEST(GrammarTrial, endless_compiles_end_with_the_cpu_budget) {
  expect_over_budget("json_schema", kEndless, "1 s");
  std::string properties;
  for (int i = 0; i < 20000; ++i) {
    properties += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + "\":{}";
  }
  expect_over_budget("json_schema", R"({"type": "object", "properties": {)" + properties + "}}",
                     "1 s");
  std::string patterns;
  for (int i = 3; i < 20; ++i) {
    patterns += (i > 3 ? "," : "") +
                std::string(R"({"type": "string", "pattern": "(a|b)*a(a|b){)") + std::to_string(i) +
                "}\"}";
  }
  expect_over_budget("json_schema", R"({"allOf": [)" + patterns + "]}", "1 s");
}

TEST(GrammarTrial, endless_memory_ends_with_a_budget) {
#if defined(DBRX_ASAN) || defined(DBRX_TSAN)
  GTEST_SKIP() << "a sanitizer's malloc ends the process in its own way";
#endif
  expect_over_budget("json_schema", R"({"type": "array", "maxItems": 10000000})", "");
}

TEST(GrammarTrial, good_grammars_pass_and_are_weighed) {
  const Verdict small = try_grammar("regex", "[0-9]{3}");
  EXPECT_TRUE(small.good) << small.why;
  std::string many = R"(["a")";
  for (int i = 0; i < 5000; ++i) many += ", \"choice " + std::to_string(i) + "\"";
  const Verdict large = try_grammar("choice", many + "]");
  EXPECT_TRUE(large.good) << large.why;
#if !defined(DBRX_ASAN) && !defined(DBRX_TSAN)  // their malloc counts nothing
  EXPECT_GT(small.kept_bytes, 1000);
  EXPECT_GT(large.kept_bytes, 2 * small.kept_bytes);
#endif
  EXPECT_TRUE(try_grammar("json_schema", R"({"type": "array", "maxItems": 1000})").good);
  const std::string calls =
      R"({"functions": [{"name": "f", "parameters": {}}], "required": true, "parallel": true})";
  EXPECT_TRUE(try_grammar("calls", calls).good);
}

TEST(GrammarTrial, rules_may_name_the_tokens_that_there_are) {
  EXPECT_TRUE(try_grammar("lark", R"(start: "a" <|im_end|>)").good);
  EXPECT_TRUE(try_grammar("lark", "start: \"a\" <[300]>").good);
  EXPECT_FALSE(try_grammar("lark", R"(start: "a" <|im_nothing|>)").good);
  EXPECT_FALSE(try_grammar("lark", "start: \"a\" <[999]>").good);
}

TEST(GrammarTrial, a_wrong_grammar_is_refused_with_the_same_words_as_without_a_trial) {
  const Tokenizer tokenizer = tiny();
  GrammarCompiler untried(tokenizer, tiny::added_id(0), "");
  for (const char* schema : {"{", R"({"not": {}})", R"({"type": "nothing"})"}) {
    try {
      untried.compile(GrammarKind::json_schema, schema);
      ADD_FAILURE() << schema;
    } catch (const Error& error) {
      const Verdict verdict = try_grammar("json_schema", schema);
      EXPECT_EQ(verdict.code, error.code());
      EXPECT_EQ(verdict.why, error.what());
    }
  }
}

TEST(GrammarTrial, without_a_process_nothing_is_compiled) {
  const Tokenizer tokenizer = tiny();
  for (const char* program : {"/no/such/program", "/bin/true"}) {
    GrammarCompiler compiler(tokenizer, tiny::added_id(0), program);
    try {
      compiler.compile(GrammarKind::regex, "a");
      ADD_FAILURE() << program;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::resource_exhausted) << error.what();
    }
  }
}

TEST(GrammarTrial, where_ends_of_processes_are_ignored_only_how_one_failed_is_lost) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  const Verdict good = try_grammar("regex", "[0-9]{3}");
  const Verdict endless = try_grammar("json_schema", kEndless);
  std::signal(SIGCHLD, before);
  EXPECT_TRUE(good.good) << good.why;
  EXPECT_EQ(endless.code, Code::internal) << endless.why;
}

// A program that says its environment instead of an answer.
TEST(GrammarTrial, the_process_gets_no_environment) {
  TemporaryFolder folder;
  const std::string program = folder.path() / "program";
  const std::string said = folder.path() / "said";
  folder.write("program", "#!/bin/sh\nexport > " + said + "\n");
  ASSERT_EQ(chmod(program.c_str(), 0700), 0);
  setenv("DBRX_API_KEY", "secret", 1);
  try_grammar("regex", "a", program);
  unsetenv("DBRX_API_KEY");
  std::stringstream text;
  text << std::ifstream(said).rdbuf();
  EXPECT_NE(text.str().find("PWD"), std::string::npos) << text.str();  // the shell's own
  EXPECT_EQ(text.str().find("secret"), std::string::npos) << text.str();
}

}  // namespace
}  // namespace dbrx
