// The classifier in front of and behind a model that recites the alphabet: without a chat template
// it answers "bcd" to a text that ends in "a", and else "?", of which it is less sure.
#include "server/safety_classifier.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "server/fake_server.h"
#include "server/safety.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr std::string_view kRefusal = "I'm sorry, I am unable to assist with that request.";
const std::string kFile = R"({"name": "letters", "labels": ["bcd", "?"], "block": ["bcd"])";

FakeServer::Setup with_classifier(const std::string& more, bool with_template = false) {
  TemporaryFolder dir;
  FakeServer::Setup setup;
  setup.with_template = with_template;
  setup.server.safety.mode = SafetyMode::always;
  setup.server.safety.classifier = load_safety_classifier(dir.write("c.json", kFile + more + "}"));
  return setup;
}

json::value completion(FakeServer& server, const std::string& fields) {
  return json::parse(server.complete("{" + fields + "}").body);
}

TEST(SafetyClassifier, ReadsItsFile) {
  TemporaryFolder dir;
  const auto classifier = load_safety_classifier(dir.write(
      "c.json", R"({"name": "n", "system": "s", "prompt": "p {text}", "labels": ["a", "b", "c"],
                    "block": ["b", "c"], "input": false, "output": true, "priority": 3})"));
  EXPECT_EQ(classifier->name, "n");
  EXPECT_EQ(classifier->system, "s");
  EXPECT_EQ(classifier->prompt, "p {text}");
  EXPECT_EQ(classifier->labels, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(classifier->block, (std::vector<std::string>{"b", "c"}));
  EXPECT_FALSE(classifier->input);
  EXPECT_TRUE(classifier->output);
  EXPECT_EQ(classifier->priority, 3);
}

TEST(SafetyClassifier, SaysWhatIsWrongInItsFile) {
  TemporaryFolder dir;
  const auto message_of = [&](const std::string& text) -> std::string {
    const std::string path = dir.write("c.json", text);
    try {
      load_safety_classifier(path);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
      return error.what();
    }
    return "nothing";
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "JSON"},
      {R"({"labels": ["a", "b"]})", "block: missing"},
      {R"({"labels": "a", "block": ["a"]})", "labels: expected a list of strings"},
      {R"({"labels": ["a", ""], "block": ["a"]})", "labels"},
      {R"({"labels": ["a"], "block": ["a"]})", "two or more"},
      {R"({"labels": ["a", "a"], "block": ["a"]})", "twice"},
      {R"({"labels": ["a", "b"], "block": []})", "one or more"},
      {R"({"labels": ["a", "b"], "block": ["c"]})", "none of the labels"},
      {R"({"labels": ["a", "b"], "block": ["a", "b"]})", "lets a text pass"},
      {R"({"labels": ["a", "b"], "block": ["a"], "prompt": "text"})", "{text}"},
      {R"({"labels": ["a", "b"], "block": ["a"], "prompt": "{text} {text}"})", "{text}"},
      {R"({"labels": ["a", "b"], "block": ["a"], "input": false, "output": false})",
       "asks nothing"},
      {R"({"labels": ["a", "b"], "block": ["a"], "input": 1})", "input"},
      {R"({"labels": ["a", "b"], "block": ["a"], "lables": 1})", "lables: no such field"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_NE(message_of(text).find(message), std::string::npos) << text << message_of(text);
  }
  EXPECT_THROW(load_safety_classifier("/nowhere.json"), Error);
  EXPECT_THROW(make_safety_policy({.mode = "off", .classifier = dir.write("d", "{}")}), Error);
}

TEST(SafetyClassifier, RefusesAPromptThatLeavesNoRoomForATextAtTheStart) {
  FakeServer::Setup setup = with_classifier(R"(, "system": ")" + std::string(990, 'x') + "\"");
  EXPECT_THROW(FakeServer{setup}, Error);
}

TEST(SafetyClassifier, WindowsOverlapAndCutNoCharacter) {
  using Windows = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(text_windows("abcdef", 6, 2), (Windows{{0, 6}}));
  EXPECT_EQ(text_windows("abcdefghij", 6, 2), (Windows{{0, 6}, {4, 10}}));
  EXPECT_EQ(text_windows("abcdeüghijk", 6, 1), (Windows{{0, 5}, {4, 10}, {9, 12}}));
  EXPECT_EQ(text_windows("", 6, 2), (Windows{{0, 0}}));
}

TEST(SafetyClassifier, ABlockedInputIsRefused) {
  FakeServer server(with_classifier(""));
  const json::value body = completion(server, R"("prompt": "xa", "max_tokens": 3)");
  EXPECT_EQ(text_at(body, "/choices/0/text"), kRefusal);
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "content_filter");
  EXPECT_EQ(text_at(body, "/usage/total_tokens"), "0");
  const json::value& report = body.at_pointer("/choices/0/safety_report");
  EXPECT_EQ(text_at(report, "/blocked"), "true");
  ASSERT_EQ(report.at("classifier").as_array().size(), 1u);
  const json::value& verdict = report.at_pointer("/classifier/0");
  EXPECT_EQ(text_at(verdict, "/name"), "letters");
  EXPECT_EQ(text_at(verdict, "/of"), "input");
  EXPECT_EQ(text_at(verdict, "/prompt"), "0");
  EXPECT_EQ(text_at(verdict, "/label"), "bcd");
  EXPECT_EQ(text_at(verdict, "/action"), "block");
  EXPECT_GT(verdict.at("probability").as_double(), 0.99);
  EXPECT_EQ(text_at(verdict, "/end"), "2");
  TestClient client(server.port);
  client.send_request("GET", "/dbrx/v1/requests", "",
                      std::string("x-api-key: ") + kTestToken + "\r\n");
  const json::value recent = json::parse(client.read_answer().body);
  EXPECT_EQ(text_at(recent, "/data/0/blocked"), "true");
  EXPECT_EQ(text_at(recent, "/data/0/input"), "null");
  EXPECT_EQ(text_at(recent, "/data/0/choices"), "[]");
}

TEST(SafetyClassifier, WhatPassesIsTheAnswerThatItWouldBeWithoutIt) {
  FakeServer server(with_classifier(""));
  const std::string fields = R"("prompt": "e", "max_tokens": 4)";
  const json::value body = completion(server, fields);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "fghi");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "length");
  EXPECT_EQ(text_at(body, "/usage/prompt_tokens"), "1");
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "4");
  const json::value& report = body.at_pointer("/choices/0/safety_report");
  EXPECT_EQ(text_at(report, "/blocked"), "false");
  ASSERT_EQ(report.at("classifier").as_array().size(), 2u);
  EXPECT_EQ(text_at(report, "/classifier/0/of"), "input");
  EXPECT_EQ(text_at(report, "/classifier/1/of"), "output");
  EXPECT_EQ(text_at(report, "/classifier/1/label"), "?");
  EXPECT_EQ(text_at(report, "/classifier/1/action"), "none");
  EXPECT_LT(report.at_pointer("/classifier/1/probability").as_double(), 0.01);

  const TestAnswer stream = server.complete("{" + fields + R"(, "stream": true})");
  std::vector<std::string> texts;
  for (const json::value& object : stream_objects(stream.body)) {
    const std::string text = object.is_null() ? "" : text_at(object, "/choices/0/text");
    if (!text.empty()) texts.push_back(text);
  }
  EXPECT_EQ(texts, std::vector<std::string>{"fghi"});  // all of it, after the verdict
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
}

TEST(SafetyClassifier, ABlockedOutputIsNotShown) {
  FakeServer server(with_classifier(""));
  // After a digit the model begins with a, alone or at the end of many.
  const std::string fields = R"("prompt": "1", "max_tokens": 1)";
  const json::value body = completion(server, fields);
  EXPECT_EQ(text_at(body, "/choices/0/text"), kRefusal);
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "content_filter");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/blocked"), "true");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/classifier/1/label"), "bcd");
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "1");  // what the answer took
  const TestAnswer stream = server.complete("{" + fields + R"(, "stream": true})");
  std::string text;
  for (const json::value& object : stream_objects(stream.body)) {
    if (!object.is_null()) text += text_at(object, "/choices/0/text");
  }
  EXPECT_EQ(text, kRefusal);
}

TEST(SafetyClassifier, EachPromptAndEachChoiceIsAskedAbout) {
  FakeServer server(with_classifier(""));
  json::value body = completion(server, R"("prompt": ["e", "f"], "n": 2, "max_tokens": 2)");
  ASSERT_EQ(body.at("choices").as_array().size(), 4u);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "fg");
  EXPECT_EQ(text_at(body, "/choices/3/text"), "gh");
  EXPECT_EQ(body.at_pointer("/choices/3/safety_report/classifier").as_array().size(), 3u);
  body = completion(server, R"("prompt": [[101], [97]], "n": 2, "max_tokens": 2)");
  for (const json::value& choice : body.at("choices").as_array()) {
    EXPECT_EQ(text_at(choice, "/text"), kRefusal);
  }
}

TEST(SafetyClassifier, OneSideAloneCanBeAskedAbout) {
  FakeServer input(with_classifier(R"(, "output": false)"));
  EXPECT_EQ(text_at(completion(input, R"("prompt": "1", "max_tokens": 1)"), "/choices/0/text"),
            "a");
  EXPECT_EQ(text_at(completion(input, R"("prompt": "a")"), "/choices/0/text"), kRefusal);
  FakeServer output(with_classifier(R"(, "input": false)"));
  EXPECT_EQ(text_at(completion(output, R"("prompt": "a", "max_tokens": 2)"), "/choices/0/text"),
            "bc");
  EXPECT_EQ(text_at(completion(output, R"("prompt": "1", "max_tokens": 1)"), "/choices/0/text"),
            kRefusal);
}

TEST(SafetyClassifier, LongTextsAreAskedAboutInWindows) {
  FakeServer::Setup setup = with_classifier(R"(, "system": ")" + std::string(500, 'x') + "\"");
  FakeServer server(setup);
  const std::string text(900, 'e');
  json::value body = completion(server, R"("prompt": ")" + text + R"(", "max_tokens": 2)");
  EXPECT_EQ(text_at(body, "/choices/0/text"), "fg");
  body = completion(server, R"("prompt": ")" + text + R"(a", "max_tokens": 2)");
  EXPECT_EQ(text_at(body, "/choices/0/text"), kRefusal);
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/classifier/0/end"), "901");
  EXPECT_NE(text_at(body, "/choices/0/safety_report/classifier/0/begin"), "0");
}

TEST(SafetyClassifier, ChatsOfEveryDialectAreAskedAbout) {
  TemporaryFolder dir;
  // After a chat template's end the model begins with a, whatever the text.
  FakeServer::Setup setup;
  setup.server.safety.mode = SafetyMode::always;
  setup.server.safety.classifier =
      load_safety_classifier(dir.write("c.json", R"({"labels": ["abc", "?"], "block": ["abc"]})"));
  FakeServer server(setup);
  const std::string hello =
      R"("messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"},
                      {"role": "user", "content": "bye"}], "max_tokens": 2)";
  json::value body = json::parse(server.chat("{" + hello + "}").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), kRefusal);
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/classifier/0/message"), "2");
  body = json::parse(server.post("/v1/messages", "{" + hello + "}").body);
  EXPECT_EQ(text_at(body, "/content/0/text"), kRefusal);
  EXPECT_EQ(text_at(body, "/stop_reason"), "refusal");
  EXPECT_EQ(text_at(body, "/safety_report/classifier/0/label"), "abc");
}

TEST(SafetyClassifier, AnErrorOfItLetsNothingThrough) {
  FakeServer server(with_classifier(""));
  server.fail_next_step = true;
  TestAnswer answer = server.complete(R"({"prompt": "e", "max_tokens": 2})");
  EXPECT_EQ(answer.status, 500);
  EXPECT_NE(answer.body.find("the safety classifier failed"), std::string::npos) << answer.body;
}

TEST(SafetyClassifier, AFullQueueRefusesNoAnswerThatWasComputed) {
  FakeServer::Setup setup = with_classifier(R"(, "input": false)");
  setup.engine.max_queued_requests = 1;
  setup.engine.max_sequences = 1;
  FakeServer server(setup);
  server.step_ms = 1;
  const auto complete = [&] {
    TestAnswer answer;
    do {
      answer = server.complete(R"({"prompt": "e", "max_tokens": 8})");
    } while (answer.status == 429);
    EXPECT_EQ(answer.status, 200) << answer.body;
  };
  complete();
  ASSERT_TRUE(server.becomes_idle());
  const int64_t n_of_one = server.stats().generated_tokens;
  constexpr int kCalls = 8;
  std::vector<std::future<void>> calls;
  for (int i = 0; i < kCalls; ++i) calls.push_back(std::async(std::launch::async, complete));
  for (auto& call : calls) call.get();
  ASSERT_TRUE(server.becomes_idle());
  EXPECT_EQ(server.stats().generated_tokens, n_of_one * (1 + kCalls));
}

TEST(SafetyClassifier, WhoGoesAwayIsNotClassified) {
  FakeServer server(with_classifier(""));
  server.hang = true;
  {
    TestClient client(server.port);
    client.send_request("POST", "/v1/completions", R"({"prompt": "e", "max_tokens": 900})");
    ASSERT_TRUE(server.becomes_busy());
  }
  server.hang = false;
  server.step_ms = 2;
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_LE(server.stats().generated_tokens, 4);
}

TEST(SafetyClassifier, AnAnswerThatNobodyWaitsForIsClassifiedNoFurther) {
  TemporaryFolder dir;
  FakeServer::Setup setup;
  setup.with_template = false;
  setup.server.safety.mode = SafetyMode::always;
  setup.server.safety.classifier = load_safety_classifier(dir.write(
      "c.json",
      R"({"labels": ["bcdefghijklmnopqrstuvwxyz", "?"], "block": ["?"], "input": false})"));
  FakeServer server(setup);
  server.step_ms = 50;
  {
    TestClient client(server.port);
    client.send_request("POST", "/v1/completions", R"({"prompt": "1", "max_tokens": 1})");
    ASSERT_TRUE(
        becomes_true([&] { return server.stats().generated_tokens >= 3; }));  // the answer has one
  }
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_LT(server.stats().generated_tokens, 20);
}

TEST(SafetyClassifier, StandsBesideTheOtherFilters) {
  FakeServer::Setup setup = with_classifier("");
  const SafetyPolicy pii = make_safety_policy({.pii = "mask"});
  setup.server.safety.rules = pii.rules;
  FakeServer server(setup);
  const json::value body = completion(server, R"("prompt": "mail jo@x.com e", "max_tokens": 2)");
  EXPECT_EQ(text_at(body, "/choices/0/text"), "fg");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/input/0/action"), "mask");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/classifier/0/end"), "14");  // masked
  EXPECT_EQ(server.complete(R"({"prompt": "e", "logprobs": 1})").status, 400);
}

}  // namespace
}  // namespace dbrx
