// Many clients at once, clients that leave, full queues and the end of the server.
#include <gtest/gtest.h>

#include <algorithm>

#include "server/fake_server.h"
#include "server/grammar_queue.h"

namespace dbrx {
namespace {

using namespace std::chrono_literals;

const std::string kEndless = R"("ignore_eos": true, "max_tokens": 900, "prompt": "a")";

TEST(ServerLoad, TwoHundredClientsAtOnceEachGetTheirOwnAnswer) {
  FakeServer::Setup setup;
  setup.engine.max_sequences = 32;
  FakeServer server(std::move(setup));
  auto body = [](int i) {
    return R"({"prompt": "~)" + std::to_string(i) + R"(", "max_tokens": 20, "seed": )" +
           std::to_string(i) + "}";
  };
  auto text = [](const TestAnswer& answer) {
    return answer.status != 200 ? "" : text_at(boost::json::parse(answer.body), "/choices/0/text");
  };
  std::vector<std::string> texts(200);
  std::vector<std::thread> clients;
  for (int i = 0; i < 200; ++i) {
    clients.emplace_back(
        [&, i] { texts[static_cast<size_t>(i)] = text(server.complete(body(i))); });
  }
  for (std::thread& client : clients) client.join();
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(texts[static_cast<size_t>(i)].size(), 20u);
    EXPECT_EQ(texts[static_cast<size_t>(i)], text(server.complete(body(i)))) << i;
  }
}

TEST(ServerLoad, AGrammarThatCompilesForEverIsRefusedWhileOthersAreAnswered) {
  FakeServer server;
  TestClient hostile(server.port);
  hostile.send_request(
      "POST", "/v1/completions",
      R"({"prompt": "a", "guided_json": {"type": "integer", "multipleOf": 99999989}})");
  std::future<TestAnswer> refusal = std::async([&] { return hostile.read_answer(); });
  const TestAnswer other = server.complete(R"({"prompt": "a", "guided_regex": "[b-d]{3}"})");
  EXPECT_EQ(other.status, 200) << other.body;
  EXPECT_EQ(refusal.wait_for(0s), std::future_status::timeout);
  const TestAnswer answer = refusal.get();
  EXPECT_EQ(answer.status, 400);
  const auto error = boost::json::parse(answer.body);
  EXPECT_EQ(text_at(error, "/error/param"), "guided_json");
  EXPECT_NE(text_at(error, "/error/message").find("to compile"), std::string::npos) << answer.body;
}

std::string key_header(const std::string& name) { return "x-api-key: " + name + "-key\r\n"; }

FakeServer::Setup with_keys() {
  FakeServer::Setup setup;
  for (const char* name : {"flood", "polite"}) {
    Identity identity;
    identity.name = name;
    identity.scopes = {Scope::infer};
    setup.server.keys.add(std::string(name) + "-key", identity);
  }
  return setup;
}

// Clients of the key "flood", each with a schema that takes all the time that it may.
struct Flood {
  Flood(const FakeServer& server, int n) {
    for (int i = 0; i < n; ++i) {
      clients.push_back(std::make_unique<TestClient>(server.port));
      clients.back()->send_request(
          "POST", "/v1/completions",
          R"({"prompt": "a", "guided_json": {"type": "integer", "multipleOf": )" +
              std::to_string(99999989 - 2 * i) + "}}",
          key_header("flood"));
    }
  }
  int64_t n_answered() const {
    return std::count_if(clients.begin(), clients.end(),
                         [](const auto& client) { return client->has_answer(); });
  }

  std::vector<std::unique_ptr<TestClient>> clients;
};

TEST(ServerLoad, ManyGrammarsThatCompileForEverHoldUpNoGrammarOfOthers) {
  FakeServer server(with_keys());
  const Flood flood(server, 4);
  EXPECT_EQ(server.get("/health").status, 200);  // the server has read what came before
  for (const char* regex : {"[b-d]{3}", "[b-d]{4}"}) {
    const TestAnswer answer = server.post(
        "/v1/completions", std::string(R"({"prompt": "a", "guided_regex": ")") + regex + "\"}",
        key_header("polite"));
    EXPECT_EQ(answer.status, 200) << answer.body;
  }
  EXPECT_LE(flood.n_answered(), 1);  // they take a second of CPU time each
}

TEST(ServerLoad, WhoseGrammarsWaitMayNotHaveAllPlacesAndLosesThemWhenGone) {
  FakeServer server(with_keys());
  const char* fresh = R"({"prompt": "a", "guided_regex": "[b-d]{3}"})";
  {
    const Flood flood(server, GrammarQueue::kPlaces / 2 + 1);
    EXPECT_TRUE(becomes_true([&] { return flood.n_answered() > 0; }));
    const TestAnswer refused = server.post("/v1/completions", fresh, key_header("flood"));
    EXPECT_EQ(refused.status, 429) << refused.body;
    EXPECT_NE(refused.body.find("grammars"), std::string::npos) << refused.body;
    EXPECT_EQ(server.post("/v1/completions", fresh, key_header("polite")).status, 200);
  }
  EXPECT_TRUE(becomes_true([&] {
    return server
               .post("/v1/completions", R"({"prompt": "a", "guided_regex": "[b-d]{5}"})",
                     key_header("flood"))
               .status == 200;
  }));
}

TEST(ServerLoad, AClientThatLeavesFreesItsPlace) {
  for (const char* stream : {"false", "true"}) {
    FakeServer server;
    server.step_ms = 2;
    TestClient client(server.port);
    client.send_request("POST", "/v1/completions",
                        "{" + kEndless + R"(, "n": 4, "stream": )" + stream + "}");
    ASSERT_TRUE(server.becomes_busy(4));
    client.close();
    EXPECT_TRUE(server.becomes_idle());
    EXPECT_LT(server.stats().generated_tokens, 4 * 800);
    EXPECT_EQ(server.stats().free_blocks, server.stats().total_blocks);
  }
}

TEST(ServerLoad, AClientThatStopsReadingFreesItsPlace) {
  FakeServer::Setup setup;
  setup.server.stream_buffer_limit = 20'000;
  setup.server.write_timeout = 200ms;
  setup.max_context = 60'000;
  FakeServer server(std::move(setup));
  TestClient client(server.port, 2048);
  // 20 alternatives each make every chunk about 2 kB, 100 MB in all.
  client.send_request("POST", "/v1/completions",
                      R"({"prompt": "a", "max_tokens": 50000, "ignore_eos": true, "logprobs": 20,
                          "stream": true})");
  // Not becomes_busy(): the request may be over between two looks.
  ASSERT_TRUE(becomes_true([&] { return server.stats().generated_tokens > 0; }));
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_LT(server.stats().generated_tokens, 20'000);
}

TEST(ServerLoad, AFullQueueAnswers429AndRecovers) {
  FakeServer::Setup setup;
  setup.engine.max_sequences = 1;
  setup.engine.max_queued_requests = 1;
  FakeServer server(std::move(setup));
  server.step_ms = 2;
  TestClient running(server.port);
  running.send_request("POST", "/v1/completions", "{" + kEndless + "}");
  ASSERT_TRUE(becomes_true([&] { return server.stats().generated_tokens > 0; }));
  TestClient queued(server.port);
  queued.send_request("POST", "/v1/completions", "{" + kEndless + "}");
  ASSERT_TRUE(becomes_true([&] { return server.stats().waiting > 0; }));
  TestAnswer answer = server.complete("{" + kEndless + "}");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(text_at(boost::json::parse(answer.body), "/error/type"), "rate_limit_error");
  EXPECT_NE(answer.body.find("--max-queue"), std::string::npos) << answer.body;
  running.close();
  queued.close();
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_EQ(server.complete(R"({"prompt": "a"})").status, 200);
}

TEST(ServerLoad, TakesAsManyPromptsAtOnceAsTheQueueHolds) {
  FakeServer::Setup setup;
  setup.engine.max_sequences = 1;
  setup.engine.max_queued_requests = 3;
  FakeServer server(std::move(setup));
  EXPECT_EQ(server.complete(R"({"prompt": ["a", "b", "c"]})").status, 200);
  TestAnswer answer = server.complete(R"({"prompt": ["a", "b", "c", "d"]})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(text_at(boost::json::parse(answer.body), "/error/param"), "prompt");
  EXPECT_NE(answer.body.find("holds 3 (--max-queue)"), std::string::npos) << answer.body;
}

TEST(ServerLoad, DrainLetsAStreamFinish) {
  FakeServer server;
  server.hang = true;  // until all has been asked
  TestClient client(server.port);
  client.send_request("POST", "/v1/completions",
                      R"({"prompt": "a", "max_tokens": 20, "ignore_eos": true, "stream": true})");
  ASSERT_TRUE(server.becomes_busy());
  server.stop(true);
  const TestAnswer ready = server.get("/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find("shutting_down"), std::string::npos);
  EXPECT_EQ(server.get("/livez").status, 200);
  const TestAnswer late = server.complete(R"({"prompt": "a"})");
  EXPECT_EQ(late.status, 503);
  EXPECT_FALSE(late.header("retry-after").empty());
  server.hang = false;
  TestAnswer answer = client.read_answer();
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n"));
  client.close();
  EXPECT_TRUE(server.returns());
}

TEST(ServerLoad, DrainCancelsWhatTakesTooLongAndSaysSo) {
  for (bool stream : {false, true}) {
    FakeServer::Setup setup;
    setup.server.shutdown_timeout = 200ms;
    FakeServer server(std::move(setup));
    server.hang = true;  // it must be said even while a step takes long
    TestClient client(server.port);
    client.send_request("POST", "/v1/completions",
                        "{" + kEndless + (stream ? R"(, "stream": true})" : "}"));
    ASSERT_TRUE(server.becomes_busy());
    server.stop(true);
    TestAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, stream ? 200 : 503);
    EXPECT_NE(answer.body.find("shutting_down"), std::string::npos) << answer.body;
    client.close();
    EXPECT_TRUE(server.returns());
    EXPECT_EQ(server.stats().steps, 0);
  }
}

bool health_becomes(FakeServer& server, int status) {
  return becomes_true([&] { return server.get("/health").status == status; });
}

TEST(ServerLoad, HealthTellsWhenTheEngineHangs) {
  FakeServer::Setup setup;
  setup.server.stall_timeout = 500ms;
  FakeServer server(std::move(setup));
  server.hang = true;
  TestClient client(server.port);
  client.send_request("POST", "/v1/completions", R"({"prompt": "a", "max_tokens": 1})");
  EXPECT_TRUE(health_becomes(server, 503));
  for (const char* path : {"/readyz", "/ping", "/v1/health/ready", "/livez", "/v1/health/live"}) {
    const TestAnswer answer = server.get(path);
    EXPECT_EQ(answer.status, 503) << path;
    EXPECT_NE(answer.body.find("stalled"), std::string::npos) << path;
  }
  EXPECT_EQ(server.stats().steps, 0);
  const TestAnswer answer = client.read_answer();  // nobody waits for a step that hangs
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.body.find("stalled"), std::string::npos) << answer.body;
  EXPECT_EQ(server.complete(R"({"prompt": "a"})").status, 503);
  server.hang = false;
  EXPECT_TRUE(health_becomes(server, 200));
  EXPECT_EQ(server.complete(R"({"prompt": "a"})").status, 200);
}

TEST(ServerLoad, HealthDoesNotTakeIdlingForHanging) {
  FakeServer::Setup setup;
  setup.server.stall_timeout = 500ms;  // less than the second between two looks
  FakeServer server(std::move(setup));
  for (const auto begin = std::chrono::steady_clock::now();
       std::chrono::steady_clock::now() - begin < 2s; std::this_thread::sleep_for(20ms)) {
    EXPECT_EQ(server.get("/health").status, 200);
  }
}

TEST(ServerLoad, SurvivesItsClientsLeavingAtAnyMoment) {
  FakeServer server;
  std::vector<std::thread> clients;
  for (int t = 0; t < 8; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        TestClient client(server.port);
        const std::string stream = (i + t) % 2 == 0 ? R"(, "stream": true})" : "}";
        client.send_request("POST", "/v1/completions", "{" + kEndless + stream);
        std::this_thread::sleep_for(std::chrono::microseconds(137 * ((i * 7 + t * 3) % 20)));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_EQ(server.complete(R"({"prompt": "a"})").status, 200);
}

}  // namespace
}  // namespace dbrx
