// Limits of keys, a key file that changes, and origins, through a whole server.
#include <gtest/gtest.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/temporary_folder.h"
#include "server/fake_server.h"

namespace dbrx {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* kAlice = "x-api-key: alice-key\r\n";

FakeServer::Setup with_limits(ClientLimits limits) {
  FakeServer::Setup setup;
  Identity alice;
  alice.name = "alice";
  alice.scopes = {Scope::infer};
  alice.limits = limits;
  setup.server.keys.add("alice-key", alice);
  return setup;
}

TestAnswer complete(FakeServer& server, const std::string& fields) {
  return server.post("/v1/completions", "{\"prompt\": \"x\", " + fields + "}", kAlice);
}

TEST(ServerLimits, RequestsBeyondTheLimitAreToldWhenToComeBack) {
  FakeServer server(with_limits({.requests = 2}));
  const TestAnswer first = complete(server, R"("max_tokens": 1)");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first.header("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(complete(server, R"("max_tokens": 0)").status, 400);  // counts, though it is no good
  const TestAnswer third = complete(server, R"("max_tokens": 1)");
  EXPECT_EQ(third.status, 429);
  const int64_t seconds = std::stoll(third.header("retry-after"));
  EXPECT_TRUE(seconds >= 25 && seconds <= 30) << seconds;
  EXPECT_LE(std::stoll(third.header("retry-after-ms")), seconds * 1000);
  EXPECT_EQ(third.header("x-ratelimit-remaining-requests"), "0");
  const json::value body = json::parse(third.body);
  EXPECT_EQ(text_at(body, "/error_code"), "REQUEST_LIMIT_EXCEEDED");
  EXPECT_EQ(text_at(body, "/error/type"), "rate_limit_error");
  EXPECT_EQ(text_at(body, "/error/code"), "rate_limit_exceeded");
  EXPECT_NE(text_at(body, "/message").find("2 requests per minute"), std::string::npos);
  const TestAnswer anthropic =
      server.post("/v1/messages", R"({"messages": [], "max_tokens": 1})", kAlice);
  EXPECT_EQ(anthropic.status, 429);
  EXPECT_EQ(anthropic.header("anthropic-ratelimit-requests-remaining"), "0");
  EXPECT_EQ(anthropic.header("x-ratelimit-remaining-requests"), "");
  TestClient list(server.port);
  list.send_request("GET", "/v1/models", "", kAlice);
  EXPECT_EQ(list.read_answer().status, 200);  // asks no model
}

// A reservation of 100 tokens never fits beside what an earlier answer used.
TEST(ServerLimits, UnusedOutputIsThereForTheNextRequest) {
  FakeServer server(with_limits({.output_tokens = 100}));
  for (int i = 0; i < 3; ++i) {
    const TestAnswer answer = complete(server, R"("max_tokens": 90, "stop": "b")");
    EXPECT_EQ(answer.status, 200) << answer.body;
  }
  EXPECT_EQ(complete(server, R"("max_tokens": 101)").status, 400);
  EXPECT_EQ(complete(server, R"("max_tokens": 51, "n": 2)").status, 400);
  EXPECT_EQ(complete(server, R"("max_tokens": 80, "ignore_eos": true)").status, 200);
  const TestAnswer refused = complete(server, R"("max_tokens": 80)");
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.body.find("100 output tokens per minute"), std::string::npos);
}

TEST(ServerLimits, AChatWithoutMaxTokensGetsWhatIsLeftAndNoMore) {
  FakeServer server(with_limits({.output_tokens = 20}));
  server.hang = true;
  const std::string chat = R"({"messages": [{"role": "user", "content": "x"}]})";
  TestClient first(server.port);
  first.send_request("POST", "/v1/chat/completions", chat, kAlice);
  ASSERT_TRUE(server.becomes_busy());
  EXPECT_EQ(server.post("/v1/chat/completions", chat, kAlice).status, 429);
  server.hang = false;
  const TestAnswer answer = first.read_answer();  // the alphabet has 26 letters
  const json::value body = json::parse(answer.body);
  EXPECT_EQ(text_at(body, "/choices/0/finish_reason"), "length") << answer.body;
  EXPECT_EQ(text_at(body, "/usage/completion_tokens"), "20");
  const TestAnswer next = server.post("/v1/chat/completions", chat, kAlice);
  EXPECT_EQ(next.status, 429);
  EXPECT_LE(std::stoi(next.header("retry-after")), 3);  // one token at 20 a minute
}

TEST(ServerLimits, AKeyThatFloodsTheQueueKeepsNoOtherOut) {
  FakeServer::Setup setup = with_limits({});
  Identity other;
  other.name = "bob";
  other.scopes = {Scope::infer};
  setup.server.keys.add("bobs-key", other);
  setup.engine.max_sequences = 1;
  setup.engine.max_queued_requests = 4;
  FakeServer server(std::move(setup));
  server.hang = true;
  const std::string body = R"({"prompt": "x", "max_tokens": 1})";
  std::vector<std::unique_ptr<TestClient>> flood;
  const auto ask = [&](const std::string& key) {
    flood.push_back(std::make_unique<TestClient>(server.port));
    flood.back()->send_request("POST", "/v1/completions", body, key);
  };
  ask(kAlice);
  ASSERT_TRUE(server.becomes_busy());
  for (int64_t waiting = 1; waiting <= 2; ++waiting) {
    ask(kAlice);
    ASSERT_TRUE(becomes_true([&] { return server.stats().waiting == waiting; }));
  }
  EXPECT_EQ(server.post("/v1/completions", body, kAlice).status, 429);
  ask("x-api-key: bobs-key\r\n");
  EXPECT_TRUE(becomes_true([&] { return server.stats().waiting == 3; }));
  server.hang = false;
  for (const auto& client : flood) EXPECT_EQ(client->read_answer().status, 200);
}

// Whoever goes before all others could starve them.
TEST(ServerLimits, OnlyAdminsGoBeforeOthers) {
  FakeServer::Setup setup = with_limits({});
  Identity owner;
  owner.name = "owner";
  owner.scopes = {Scope::infer, Scope::admin};
  setup.server.keys.add("owner-key", owner);
  FakeServer server(std::move(setup));
  const std::string urgent = R"({"prompt": "x", "max_tokens": 1, "priority": -1})";
  const TestAnswer refused = server.post("/v1/completions", urgent, kAlice);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(text_at(json::parse(refused.body), "/error/param"), "priority");
  EXPECT_NE(refused.body.find("scope admin"), std::string::npos) << refused.body;
  EXPECT_EQ(server.post("/v1/completions", urgent, "x-api-key: owner-key\r\n").status, 200);
  EXPECT_EQ(complete(server, R"("max_tokens": 1, "priority": 1)").status, 200);
  FakeServer open;
  EXPECT_EQ(open.complete(urgent).status, 200);
}

TEST(ServerLimits, ACancelledRequestGivesBackWhatItDidNotUse) {
  FakeServer server(with_limits({.output_tokens = 200}));
  server.step_ms = 20;
  {
    TestClient client(server.port);
    client.send_request("POST", "/v1/completions",
                        R"({"prompt": "x", "max_tokens": 200, "ignore_eos": true, "stream": true})",
                        kAlice);
    EXPECT_NE(client.read_until("data: "), "");
    EXPECT_EQ(complete(server, R"("max_tokens": 150)").status, 429);
  }
  EXPECT_TRUE(server.becomes_idle());
  EXPECT_EQ(complete(server, R"("max_tokens": 150, "stop": "a")").status, 200);
}

TEST(ServerLimits, ARequestThatTheEngineDoesNotTakeGivesBackEverything) {
  FakeServer::Setup setup = with_limits({.input_tokens = 100, .output_tokens = 100});
  setup.engine.max_queued_requests = 1;
  FakeServer server(std::move(setup));
  EXPECT_EQ(server
                .post("/v1/completions",
                      R"({"prompt": ["aaaaaaaa", "bbbbbbbb"], "max_tokens": 50})", kAlice)
                .status,
            400);
  EXPECT_EQ(complete(server, R"("max_tokens": 100, "stop": "a")").status, 200);
}

// What is logged while this lives. It may not begin or end while other threads log.
class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  bool has(const std::string& text) const {
    for (const std::string& line : sink_->last_formatted()) {
      if (line.find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> sink_ =
      std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(1000);
  std::shared_ptr<spdlog::logger> before_;
};

// Whether a key is answered so, now or within some seconds.
int list_status(FakeServer& server, const std::string& key) {
  TestClient client(server.port);
  client.send_request("GET", "/v1/models", "", "x-api-key: " + key + "\r\n");
  return client.read_answer().status;
}
bool becomes(FakeServer& server, const std::string& key, int status) {
  return becomes_true([&] { return list_status(server, key) == status; });
}

TEST(ServerLimits, AChangedKeyFileHoldsAndABrokenOneDoesNot) {
  const LogCapture log;
  TemporaryFolder dir;
  const std::string path =
      dir.write("keys.json", R"({"keys": [{"name": "a", "key": "one"}]})").string();
  FakeServer::Setup setup;
  setup.server.key_file = path;
  FakeServer server(std::move(setup));
  EXPECT_EQ(list_status(server, "one"), 200);
  EXPECT_EQ(list_status(server, "two"), 401);
  dir.write("keys.json", R"({"keys": [{"name": "a", "key": "two"}]})");
  EXPECT_TRUE(becomes(server, "two", 200));
  EXPECT_EQ(list_status(server, "one"), 401);
  dir.write("keys.json", "{");
  EXPECT_TRUE(becomes_true([&] { return log.has("keys: the old content stays in force"); }));
  EXPECT_EQ(list_status(server, "two"), 200);
  dir.write("keys.json", R"({"keys": [{"name": "a", "key": "three"}]})");
  EXPECT_TRUE(becomes(server, "three", 200));
}

TEST(ServerLimits, AKeyFileThatCouldNotBeReadIsReadLater) {
#if defined(DBRX_ASAN)
  GTEST_SKIP() << "UBSan looks at memory through a pipe, so that it needs descriptors, too";
#endif
  const LogCapture log;
  TemporaryFolder dir;
  FakeServer::Setup setup;
  setup.server.key_file =
      dir.write("keys.json", R"({"keys": [{"name": "a", "key": "one"}]})").string();
  FakeServer server(std::move(setup));
  dir.write("new.json", R"({"keys": [{"name": "a", "key": "two"}]})");
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit no_more_files = {.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &no_more_files), 0);
  std::filesystem::rename(dir.path() / "new.json", dir.path() / "keys.json");
  EXPECT_TRUE(becomes_true([&] { return log.has("keys: the old content stays in force"); }));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(becomes(server, "two", 200));
}

TEST(ServerLimits, AServerDoesNotStartWithAKeyFileThatIsNotThere) {
  FakeServer::Setup setup;
  setup.server.key_file = "/nonexistent/keys.json";
  EXPECT_THROW(FakeServer server(std::move(setup)), Error);
}

TEST(ServerCors, PagesOfAllowedOriginsMayReadAnswersAndErrors) {
  FakeServer::Setup setup = with_limits({});
  setup.server.origins.add("https://chat.example.com");
  FakeServer server(std::move(setup));
  const auto ask = [&](const std::string& origin, const std::string& headers) {
    TestClient client(server.port);
    client.send_request("GET", "/v1/models", "", "Origin: " + origin + "\r\n" + headers);
    return client.read_answer();
  };
  const TestAnswer good = ask("https://chat.example.com", kAlice);
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(good.header("access-control-allow-origin"), "https://chat.example.com");
  EXPECT_EQ(good.header("vary"), "origin");
  const TestAnswer locked = ask("https://chat.example.com", "");
  EXPECT_EQ(locked.status, 401);
  EXPECT_EQ(locked.header("access-control-allow-origin"), "https://chat.example.com");
  const TestAnswer other = ask("https://evil.example.com", kAlice);
  EXPECT_EQ(other.header("access-control-allow-origin"), "");
  EXPECT_EQ(other.header("vary"), "origin");
}

// Browsers show a page those headers alone that the answer names, and some that all may see.
TEST(ServerCors, EveryHeaderForProgramsMayBeRead) {
  FakeServer::Setup setup =
      with_limits({.requests = 3, .input_tokens = 1000, .output_tokens = 1000});
  setup.server.origins.add("*");
  FakeServer server(std::move(setup));
  const std::set<std::string> not_for_programs = {"date",          "content-type", "content-length",
                                                  "cache-control", "connection",   "vary"};
  const std::string messages = R"({"messages": [{"role": "user", "content": "x"}], )";
  for (const auto& [path, body] :
       {std::pair("/v1/chat/completions", messages + R"("no_such_field": 1})"),
        std::pair("/serving-endpoints/alphabet/invocations", messages + R"("max_tokens": 1})"),
        std::pair("/v1/messages", messages + R"("max_tokens": 1})"),
        std::pair("/v1/messages", messages + R"("max_tokens": 1})"),  // 429
        std::pair("/v1/completions", std::string("{}"))}) {           // 429
    const TestAnswer answer =
        server.post(path, body, std::string(kAlice) + "Origin: https://a.example\r\n");
    const std::string exposed = ", " + answer.header("access-control-expose-headers") + ",";
    std::istringstream lines(answer.head);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line) && line.size() > 1) {
      const std::string name = line.substr(0, line.find(':'));
      if (not_for_programs.contains(name) || name.starts_with("access-control-")) continue;
      EXPECT_NE(exposed.find(", " + name + ","), std::string::npos) << path << " " << name;
    }
  }
}

TEST(ServerCors, ABodyThatIsTooLargeIsToldToPages) {
  FakeServer::Setup setup = with_limits({});
  setup.server.origins.add("*");
  FakeServer server(std::move(setup));
  TestClient client(server.port);
  client.send("POST /v1/completions HTTP/1.1\r\nHost: t\r\nOrigin: https://a.example\r\n" +
              std::string(kAlice) + "Content-Length: 99999999999\r\n\r\n");
  const TestAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
}

TEST(ServerCors, APreflightNeedsNoKeyAndNamesTheHeaders) {
  FakeServer::Setup setup = with_limits({});
  setup.server.origins.add("*");
  FakeServer server(std::move(setup));
  TestClient client(server.port);
  client.send_request("OPTIONS", "/v1/chat/completions", "",
                      "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
                      "Access-Control-Request-Headers: authorization,content-type\r\n");
  const TestAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "*");
  EXPECT_EQ(answer.header("access-control-allow-headers"), "authorization,content-type");
  EXPECT_NE(answer.header("access-control-allow-methods").find("post"), std::string::npos);
  EXPECT_EQ(answer.header("allow"), "post, options");
}

TEST(ServerCors, NobodyIsAllowedUnlessToldTo) {
  FakeServer server;
  TestClient client(server.port);
  client.send_request("OPTIONS", "/v1/chat/completions", "",
                      "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n");
  EXPECT_EQ(client.read_answer().head.find("access-control"), std::string::npos);
  AllowedOrigins origins;
  for (const char* wrong : {"", "example.com", "https://", "https://a.example/", "https://a b",
                            "https://A.example", "https://a.example:443", "http://a.example:80"}) {
    EXPECT_THROW(origins.add(wrong), Error) << wrong;
  }
  origins.add("https://a.example:80");
  origins.add("http://a.example:443");
}

}  // namespace
}  // namespace dbrx
