// One call without sockets and threads: the test itself runs the engine's steps and the tasks of
// the I/O thread.
#include "server/completion.h"

#include <gtest/gtest.h>

#include <deque>
#include <new>

#include "engine/fake_model.h"
#include "telemetry/telemetry.h"
#include "text/tiny_tokenizer.h"

namespace dbrx {
namespace {

class FakeReply : public Reply {
 public:
  enum class Phase { waiting, streaming, complete };

  void send(HttpResponse response) override {
    if (phase != Phase::waiting) return;
    answer = std::move(response);
    phase = Phase::complete;
  }
  void begin_stream(HttpResponse head, std::string) override {
    if (phase != Phase::waiting) return;
    answer = std::move(head);
    phase = Phase::streaming;
  }
  void write(std::string_view chunk) override {
    if (phase != Phase::streaming) return;
    if (n_writes++ == fails_at) throw std::bad_alloc();
    answer.body += chunk;
  }
  void end(bool) override {
    if (phase == Phase::streaming) phase = Phase::complete;
  }
  void on_abort(std::function<void()>) override {}
  bool is_open() const override { return !gone && phase != Phase::complete; }
  void release_body() override {}
  void note(std::string, int64_t) override {}
  void post(std::function<void()> task) override {
    if (no_memory) throw std::bad_alloc();
    tasks.push_back(std::move(task));
  }
  void post_after(std::chrono::milliseconds, std::function<void()> task) override {
    post(std::move(task));
  }

  void run_task() {
    auto task = std::move(tasks.front());
    tasks.pop_front();
    task();
  }
  void run_tasks() {
    while (!tasks.empty()) run_task();
  }

  Phase phase = Phase::waiting;
  HttpResponse answer;
  std::deque<std::function<void()>> tasks;
  int n_writes = 0;
  int fails_at = -1;  // this write
  bool gone = false;
  bool no_memory = false;  // for tasks
};

constexpr int32_t kVocab = 310;

HttpRequest post_request() {
  HttpRequest request;
  request.id = "req-1";
  request.route = "/v1/completions";
  request.client = std::make_shared<Identity>();
  return request;
}

struct Rig {
  // Asks for 200 times "a", each an event and a chunk.
  void start(bool stream) {
    completion->start({.endpoint = Endpoint::completions},
                      std::string(R"({"prompt": "x", "max_tokens": 200, "logprobs": 0,
                                      "logit_bias": {"97": 100}, "stream": )") +
                          (stream ? "true}" : "false}"));
  }
  void steps(int n) {
    for (int i = 0; i < n; ++i) engine.step();
  }
  // To the end of everything.
  void finish() {
    while (engine.step()) {
    }
    reply->run_tasks();
  }

  Context context{Isa::scalar, 1};
  FakeModel model{kVocab};
  Tokenizer tokenizer = Tokenizer::from_json(tiny::tokenizer_json(), "test");
  Engine engine{context, model, &tokenizer, {}};
  FairWorkers workers{"text", 1};
  Telemetry telemetry{{}, [] { return EngineSample(); }};
  Services services{.engine = engine,
                    .tokenizer = tokenizer,
                    .chat_template = {},
                    .workers = workers,
                    .telemetry = telemetry,
                    .model_names = {"model"},
                    .system_fingerprint = "",
                    .parse = {.n_ids = tokenizer.n_ids(), .max_context = 1024},
                    .unknown_names = {}};
  std::shared_ptr<FakeReply> reply = std::make_shared<FakeReply>();
  std::shared_ptr<Completion> completion =
      std::make_shared<Completion>(services, reply, post_request(), CompletionRoute());
};

// The one record that there is.
RequestRecord record_of(const Rig& rig) {
  const auto page = rig.telemetry.recent().find({});
  EXPECT_EQ(page.requests.size(), 1U);
  return page.requests.empty() ? RequestRecord() : *page.requests.front();
}

TEST(CompletionRecord, OfAnAnswerHasItsTokensAndTimes) {
  Rig rig;
  rig.start(true);
  rig.finish();
  const RequestRecord record = record_of(rig);
  EXPECT_EQ(record.status, 200);
  EXPECT_EQ(record.request_id, "req-1");
  EXPECT_TRUE(record.id.starts_with("cmpl-"));
  EXPECT_EQ(record.input, R"(["x"])");
  EXPECT_EQ(record.usage.completion_tokens, 200);
  EXPECT_EQ(record.params.max_tokens, 200);
  ASSERT_EQ(record.choices.size(), 1U);
  const ChoiceRecord& choice = record.choices[0];
  EXPECT_EQ(choice.answer, std::string(200, 'a'));
  EXPECT_EQ(choice.generated_tokens, 200);
  EXPECT_EQ(choice.prompt_tokens, 1);
  EXPECT_EQ(choice.finish, FinishReason::length);
  EXPECT_LE(record.started, choice.times.submitted);
  EXPECT_LE(choice.times.submitted, choice.times.scheduled);
  EXPECT_LE(choice.times.scheduled, choice.times.first_token);
  EXPECT_LT(choice.times.first_token, choice.times.now);
  EXPECT_LE(choice.times.now, record.ended);
  const std::string text = rig.telemetry.metrics().text();
  EXPECT_NE(text.find("vllm:inter_token_latency_seconds_count{engine=\"0\",model_name=\"\"} 199"),
            std::string::npos);
}

TEST(CompletionRecord, OfAClientThatLeavesHasWhatItGot) {
  Rig rig;
  rig.start(true);
  rig.steps(3);
  rig.reply->run_tasks();
  rig.reply->gone = true;
  rig.completion->abort();
  rig.finish();
  const RequestRecord record = record_of(rig);
  EXPECT_EQ(record.status, 499);
  EXPECT_FALSE(record.choices.at(0).finish);
  EXPECT_EQ(record.choices.at(0).generated_tokens, 3);
}

TEST(CompletionRecord, IsMadeOnceEvenWhenTheClientLeavesAtTheBegin) {
  Rig rig;
  rig.reply->gone = true;
  rig.completion->abort();
  rig.start(true);
  rig.finish();
  EXPECT_EQ(record_of(rig).status, 499);
  Rig later;
  later.start(true);
  later.reply->gone = true;
  later.completion->abort();
  later.finish();
  EXPECT_EQ(record_of(later).status, 499);
}

TEST(CompletionRecord, OfAnAnswerThatTheServersEndCutsSaysSo) {
  for (const bool begun : {false, true}) {
    Rig rig;
    rig.start(true);
    rig.steps(2);
    if (begun) rig.reply->run_tasks();
    rig.completion->abort();
    rig.finish();
    EXPECT_EQ(record_of(rig).status, 503);
    EXPECT_EQ(record_of(rig).error_code, "shutting_down");
  }
}

TEST(CompletionRecord, OfARefusalSaysWhy) {
  Rig rig;
  rig.completion->start({.endpoint = Endpoint::completions}, R"({"prompt": "x", "n": 0})");
  rig.finish();
  const RequestRecord record = record_of(rig);
  EXPECT_EQ(record.status, 400);
  EXPECT_EQ(record.error_code, "invalid_value");
  EXPECT_EQ(record.id, "req-1");
  EXPECT_EQ(record.choices.size(), 0U);
}

TEST(Completion, HandlesNoMoreThan64EventsInATaskOfTheIoThread) {
  Rig rig;
  rig.start(true);
  rig.steps(200);
  int most = 0;
  while (!rig.reply->tasks.empty()) {
    const int before = rig.reply->n_writes;
    rig.reply->run_task();
    most = std::max(most, rig.reply->n_writes - before);
  }
  EXPECT_EQ(most, 64);
  EXPECT_EQ(rig.reply->n_writes, 202);  // tokens, the end of the choice, the end
  EXPECT_TRUE(rig.reply->answer.body.ends_with("data: [DONE]\n\n"));
}

TEST(Completion, TakesEventsThatComeLaterThanTheFirstTask) {
  Rig rig;
  rig.start(true);
  for (int i = 0; i < 200; ++i) {
    rig.reply->run_tasks();
    EXPECT_EQ(rig.reply->n_writes, i);
    rig.steps(1);
  }
  rig.reply->run_tasks();
  EXPECT_TRUE(rig.reply->answer.body.ends_with("data: [DONE]\n\n"));
}

TEST(Completion, FailsWithItsRequestWhenThereIsNoMemoryForAnEvent) {
  Rig rig;
  rig.start(true);
  rig.steps(5);
  rig.reply->fails_at = 3;
  rig.reply->run_tasks();
  EXPECT_EQ(rig.reply->phase, FakeReply::Phase::complete);
  EXPECT_NE(rig.reply->answer.body.find("resource_exhausted"), std::string::npos);
  const std::string body = rig.reply->answer.body;
  rig.finish();
  EXPECT_EQ(rig.reply->answer.body, body);
  EXPECT_EQ(rig.engine.stats().generated_tokens, 5);
}

TEST(Completion, SaysSoWhenTheEngineCouldNotHandOnTheLastEvent) {
  for (const bool stream : {false, true}) {
    Rig rig;
    rig.start(stream);
    rig.steps(5);
    rig.reply->run_tasks();
    rig.reply->no_memory = true;
    while (rig.engine.step()) {
    }
    EXPECT_NE(rig.reply->phase, FakeReply::Phase::complete);
    rig.reply->no_memory = false;
    EXPECT_TRUE(rig.completion->end_if_hopeless(false));
    EXPECT_EQ(rig.reply->phase, FakeReply::Phase::complete);
    EXPECT_EQ(rig.reply->answer.status, stream ? 200 : 500);
    EXPECT_NE(rig.reply->answer.body.find("the answer is lost"), std::string::npos);
  }
}

TEST(Completion, HearsOfAVerdictThatCouldNotBeHandedOn) {
  Rig rig;
  SafetyClassifier classifier;
  classifier.labels = classifier.block = {"a"};
  const ReadyClassifier ready = {
      .classifier = std::make_shared<SafetyClassifier>(classifier), .grammar = {}, .window = 100};
  int n_lost = 0;
  const auto texts = std::make_shared<Classification>(
      rig.services, ready, std::vector<TextToClassify>{{{}, "x"}},
      [](Classification::Result&&) { throw std::bad_alloc(); }, [&] { ++n_lost; });
  ASSERT_EQ(texts->start(/*beyond_bound=*/false), SubmitResult::ok);
  while (rig.engine.step()) {
  }
  EXPECT_EQ(n_lost, 1);
}

TEST(Completion, EndsWhenTheEngineIsStalledAndElseWaits) {
  Rig rig;
  rig.start(false);
  rig.steps(5);
  rig.reply->run_tasks();
  EXPECT_FALSE(rig.completion->end_if_hopeless(false));
  EXPECT_TRUE(rig.completion->end_if_hopeless(true));
  EXPECT_EQ(rig.reply->answer.status, 503);
  rig.finish();
  EXPECT_LT(rig.engine.stats().generated_tokens, 10);
}

TEST(Completion, SaysThatItIsCancelledWithoutWaitingForTheEngine) {
  for (const bool stream : {false, true}) {
    for (const bool begun : {false, true}) {
      Rig rig;
      rig.start(stream);
      rig.steps(5);
      if (begun) rig.reply->run_tasks();
      rig.completion->abort();
      EXPECT_EQ(rig.reply->phase, FakeReply::Phase::complete);
      EXPECT_EQ(rig.reply->answer.status, stream && begun ? 200 : 503);
      const std::string body = rig.reply->answer.body;
      EXPECT_NE(body.find("shutting_down"), std::string::npos) << body;
      rig.finish();
      EXPECT_EQ(rig.reply->answer.body, body);
      EXPECT_EQ(rig.engine.stats().generated_tokens, 5);
    }
  }
}

TEST(Completion, SaysNothingToAClientThatLeft) {
  Rig rig;
  rig.start(false);
  rig.reply->gone = true;
  rig.completion->abort();
  rig.finish();
  EXPECT_EQ(rig.reply->phase, FakeReply::Phase::waiting);
  EXPECT_EQ(rig.engine.stats().generated_tokens, 0);
}

}  // namespace
}  // namespace dbrx
