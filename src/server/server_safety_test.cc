// Safety filters in front of and behind a model that recites the alphabet.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "server/fake_server.h"
#include "server/safety.h"

namespace dbrx {
namespace {

namespace json = boost::json;

constexpr std::string_view kRefusal = "I'm sorry, I am unable to assist with that request.";
const std::string kHello = R"("messages": [{"role": "user", "content": "hello"}])";

// Finds a text; fails at another one.
class Needle : public SafetyFilter {
 public:
  explicit Needle(std::string needle, std::string poison = "")
      : needle_(std::move(needle)), poison_(std::move(poison)) {}

  std::string_view name() const override { return "needle"; }
  SafetySearch next(std::string_view text, size_t from, bool is_end) const override {
    if (!poison_.empty() && text.find(poison_) != std::string_view::npos) {
      throw Error(Code::internal, "the search takes too long");
    }
    const size_t at = text.find(needle_, from);
    if (at != std::string_view::npos) return {SafetyMatch{at, at + needle_.size(), "letters"}, at};
    size_t open = from;
    while (open < text.size() && (is_end || !needle_.starts_with(text.substr(open)))) ++open;
    return {{}, open};
  }

 private:
  std::string needle_;
  std::string poison_;
};

FakeServer::Setup with_filter(std::string needle, SafetyAction action,
                              SafetyMode mode = SafetyMode::always, std::string poison = "") {
  FakeServer::Setup setup;
  setup.server.safety.mode = mode;
  setup.server.safety.rules = {
      {std::make_shared<Needle>(std::move(needle), std::move(poison)), action}};
  return setup;
}

// The texts of a stream of completions, by choice.
std::vector<std::string> streamed_texts(const std::string& body, size_t n) {
  std::vector<std::string> texts(n);
  for (const json::value& object : stream_objects(body)) {
    if (object.is_null()) continue;
    const json::value& choice = object.at_pointer("/choices/0");
    texts.at(choice.at("index").to_number<size_t>()) += choice.at("text").as_string();
  }
  return texts;
}

TEST(ServerSafety, ABlockedAnswerEndsBeforeTheFindAndStopsTheEngine) {
  FakeServer server(with_filter("hij", SafetyAction::block));
  server.step_ms = 20;
  json::value body = json::parse(server.chat("{" + kHello + "}").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), "abcdefg");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "content_filter");
  EXPECT_EQ(text_at(body, "/choices/0/stop_reason"), "null");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report"),
            R"({"blocked":true,"input":[],"output":[{"filter":"needle","category":"letters",)"
            R"("action":"block","begin":7,"end":10}]})");
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_LT(server.stats().generated_tokens, 24);

  const TestAnswer answer = server.chat("{" + kHello + R"(, "stream": true})");
  std::string text;
  std::string reason;
  for (const json::value& object : stream_objects(answer.body)) {
    if (object.is_null()) continue;
    const json::object& choice = object.at_pointer("/choices/0").as_object();
    if (const json::value* content = choice.at("delta").as_object().if_contains("content")) {
      text += content->as_string();
    }
    reason = text_at(choice, "/finish_reason");
    EXPECT_EQ(choice.contains("safety_report"), reason == "content_filter");
  }
  EXPECT_EQ(text, "abcdefg");
  EXPECT_EQ(reason, "content_filter");
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
}

TEST(ServerSafety, AMaskedAnswerGoesOn) {
  FakeServer server(with_filter("hij", SafetyAction::mask));
  json::value body = json::parse(server.complete(R"({"prompt": "e", "max_tokens": 8})").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "fg[LETTERS]klm");
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "length");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/blocked"), "false");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/output/0/action"), "mask");
  // What may still become a find is shown once the answer has ended.
  body = json::parse(server.complete(R"({"prompt": "e", "max_tokens": 4})").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "fghi");
}

TEST(ServerSafety, ABlockedChoiceDisturbsNoOther) {
  const std::string fields = R"("prompt": ["~", "a"], "n": 3, "max_tokens": 20, "seed": 7)";
  std::vector<std::string> texts;
  {
    FakeServer plain;
    const json::value body = json::parse(plain.complete("{" + fields + "}").body);
    for (const json::value& choice : body.at("choices").as_array()) {
      texts.push_back(text_at(choice, "/text"));
    }
  }
  ASSERT_EQ(texts.size(), 6u);
  const std::string needle = texts[1].substr(3, 5);
  texts[1].resize(3);
  FakeServer server(with_filter(needle, SafetyAction::block));
  const json::value body = json::parse(server.complete("{" + fields + "}").body);
  for (size_t i = 0; i < texts.size(); ++i) {
    const json::value& choice = body.at("choices").at(i);
    EXPECT_EQ(text_at(choice, "/text"), texts[i]);
    EXPECT_EQ(text_at(choice, "/finish_reason"), i == 1 ? "content_filter" : "length");
    EXPECT_EQ(text_at(choice, "/safety_report/blocked"), i == 1 ? "true" : "false");
  }
  // The blocked one is computed until the engine hears of it.
  const int64_t n_tokens = body.at_pointer("/usage/completion_tokens").to_number<int64_t>();
  EXPECT_GT(n_tokens, 5 * 20);
  EXPECT_LE(n_tokens, 6 * 20);
  const TestAnswer stream = server.complete("{" + fields + R"(, "stream": true})");
  EXPECT_EQ(streamed_texts(stream.body, 6), texts);
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
}

TEST(ServerSafety, ABlockedInputNeverReachesTheEngine) {
  FakeServer server(with_filter("ell", SafetyAction::block));
  json::value body = json::parse(server.chat("{" + kHello + "}").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), kRefusal);
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "content_filter");
  EXPECT_EQ(text_at(body, "/choices/0/safety_report"),
            R"({"blocked":true,"input":[{"filter":"needle","category":"letters",)"
            R"("action":"block","begin":1,"end":4,"message":0}],"output":[]})");
  EXPECT_EQ(text_at(body, "/usage/total_tokens"), "0");
  const std::string prompts = R"({"prompt": ["x", "well"], "n": 2)";
  body = json::parse(server.complete(prompts + "}").body);
  ASSERT_EQ(body.at("choices").as_array().size(), 4u);
  for (const json::value& choice : body.at("choices").as_array()) {
    EXPECT_EQ(text_at(choice, "/text"), kRefusal);
    EXPECT_EQ(text_at(choice, "/safety_report/input/0/prompt"), "1");
  }
  const TestAnswer stream = server.complete(prompts + R"(, "stream": true})");
  EXPECT_EQ(streamed_texts(stream.body, 4), std::vector<std::string>(4, std::string(kRefusal)));
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n"));
  body =
      json::parse(server.post("/serving-endpoints/alphabet/invocations", "{" + kHello + "}").body);
  EXPECT_EQ(text_at(body, "/choices/0/message/content"), kRefusal);
  body = json::parse(server.post("/v1/messages", "{" + kHello + R"(, "max_tokens": 3})").body);
  EXPECT_EQ(text_at(body, "/content/0/text"), kRefusal);
  EXPECT_EQ(text_at(body, "/stop_reason"), "refusal");
  EXPECT_EQ(text_at(body, "/safety_report/blocked"), "true");
  EXPECT_EQ(server.stats().steps, 0);
}

TEST(ServerSafety, TheModelSeesMasksAndTokenIdsThatCannotBeMaskedAreBlocked) {
  FakeServer server(with_filter("bc", SafetyAction::mask));
  json::value body = json::parse(server.complete(R"({"prompt": "abc", "max_tokens": 1})").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "a");  // after "a[LETTERS]"; after c it were d
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/input/0/action"), "mask");
  body = json::parse(server.complete(R"({"prompt": [97, 98, 99], "max_tokens": 1})").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), kRefusal);
  EXPECT_EQ(text_at(body, "/choices/0/safety_report/input/0/action"), "block");
  body = json::parse(server.complete(R"({"prompt": [97, 98], "max_tokens": 1})").body);
  EXPECT_EQ(text_at(body, "/choices/0/text"), "c");
}

TEST(ServerSafety, MoreTokenIdsThanTheContextHasAreRefusedBeforeTheFilters) {
  FakeServer server(with_filter("bc", SafetyAction::block));
  std::string ids = "98, 99";  // would be blocked
  for (int i = 0; i < 1100; ++i) ids += ", 97";
  const std::string prompt = R"({"max_tokens": 1, "prompt": [)" + ids + "]";
  const TestAnswer refused = server.complete(prompt + "}");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(text_at(json::parse(refused.body), "/error/code"), "context_length_exceeded");
  // The model never sees the beginning.
  const TestAnswer cut = server.complete(prompt + R"(, "truncate_prompt_tokens": 5})");
  EXPECT_EQ(text_at(json::parse(cut.body), "/choices/0/text"), "b") << cut.body;
}

TEST(ServerSafety, OnRequestOnlyThoseThatAskAreWatched) {
  FakeServer server(with_filter("cd", SafetyAction::block, SafetyMode::on_request));
  const auto text = [&](const std::string& field) {
    return text_at(
        json::parse(server.complete(R"({"prompt": "a", "max_tokens": 4)" + field + "}").body),
        "/choices/0/text");
  };
  EXPECT_EQ(text(""), "bcde");
  EXPECT_EQ(text(R"(, "enable_safety_filter": false)"), "bcde");
  EXPECT_EQ(text(R"(, "enable_safety_filter": true)"), "b");
  EXPECT_EQ(text(R"(, "enable_safety_mode": true)"), "b");
  EXPECT_EQ(text(R"(, "enable_safety_mode": true, "enable_safety_filter": false)"), "b");
}

TEST(ServerSafety, RefusesToAskWhereThereAreNoFilters) {
  FakeServer server;
  const TestAnswer answer = server.chat("{" + kHello + R"(, "enable_safety_mode": true})");
  EXPECT_EQ(answer.status, 400);
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(text_at(body, "/error/param"), "enable_safety_mode");
  EXPECT_NE(text_at(body, "/error/message").find("--safety off"), std::string::npos);
}

TEST(ServerSafety, RefusesWhatWouldShowTextPastTheFilters) {
  FakeServer server(with_filter("x", SafetyAction::block));
  for (const char* field : {R"("logprobs": 0)", R"("echo": true)", R"("prompt_logprobs": 1)",
                            R"("return_token_ids": true)", R"("return_routed_experts": true)"}) {
    const TestAnswer answer = server.complete(R"({"prompt": "a", )" + std::string(field) + "}");
    EXPECT_EQ(answer.status, 400) << field;
    EXPECT_NE(answer.body.find("past the safety filters"), std::string::npos) << field;
  }
  EXPECT_EQ(server.chat("{" + kHello + R"(, "logprobs": true})").status, 400);
}

TEST(ServerSafety, ASearchThatFailsLetsNothingThrough) {
  FakeServer server(with_filter("none", SafetyAction::block, SafetyMode::always, "k"));
  EXPECT_EQ(server.complete(R"({"prompt": "k"})").status, 500);
  EXPECT_EQ(server.stats().steps, 0);
  EXPECT_EQ(server.complete(R"({"prompt": "i"})").status, 500);
  const TestAnswer stream = server.complete(R"({"prompt": "i", "stream": true})");
  const std::vector<json::value> objects = stream_objects(stream.body);
  ASSERT_EQ(objects.size(), 2u) << stream.body;
  EXPECT_EQ(text_at(objects[0], "/choices/0/text"), "j");
  EXPECT_EQ(text_at(objects[1], "/error/type"), "server_error");
}

TEST(SafetyPolicy, RefusesFlagsThatContradictEachOther) {
  TemporaryFolder dir;
  const std::string path = dir.write("words.txt", "blue whale\n");
  EXPECT_THROW(make_safety_policy({.mode = "always", .pii = "off"}), Error);
  EXPECT_THROW(make_safety_policy({.mode = "off", .keywords = path}), Error);
  EXPECT_THROW(make_safety_policy({.keywords = path + "x"}), Error);
  EXPECT_TRUE(make_safety_policy({.mode = "off"}).rules.empty());
  const SafetyPolicy policy = make_safety_policy({.pii = "mask", .keywords = path});
  EXPECT_EQ(policy.mode, SafetyMode::on_request);
  ASSERT_EQ(policy.rules.size(), 2u);
  EXPECT_EQ(policy.rules[0].action, SafetyAction::mask);
  EXPECT_EQ(policy.rules[1].action, SafetyAction::block);
}

}  // namespace
}  // namespace dbrx
