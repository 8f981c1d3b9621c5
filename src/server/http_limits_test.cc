// Who gets a connection and memory for a body, and who has to wait.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "server/running_server.h"

namespace dbrx {
namespace {

using Clients = std::vector<std::unique_ptr<TestClient>>;

constexpr const char* kPeer = "127.0.0.2";

TestAnswer get(const RunningServer& server, const std::string& target) {
  TestClient client(server.port());
  client.send_request("GET", target);
  return client.read_answer();
}

bool is_alive(const HttpRequest& request) { return request.path() == "/alive"; }

// Holds all requests but probes.
HttpHandler holding(Held& held) {
  return {.answer =
              [&held](RequestPtr request, ReplyPtr reply) {
                if (is_alive(*request)) return reply->send(text_response("well"));
                held.handler()(std::move(request), std::move(reply));
              },
          .is_open = is_alive,
          .is_probe = is_alive};
}

Clients connect(const RunningServer& server, size_t n, const std::string& words) {
  Clients clients;
  for (size_t i = 0; i < n; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->send(words);
  }
  return clients;
}

TEST(HttpConnections, WhoSaysNothingOrHalfARequestMakesRoom) {
  HttpOptions options = quick_options();
  options.max_connections = 8;
  RunningServer server(HttpHandler{.answer = echo, .is_probe = is_alive}, options);
  const Clients silent = connect(server, 4, "");
  const Clients slow = connect(server, 4, "GET / HT");
  EXPECT_EQ(get(server, "/alive").status, 200);  // at once
  // A second later at most, though none of the eight is at its end: those get a minute and more.
  EXPECT_TRUE(becomes_true([&] { return get(server, "/honest").status == 200; }));
  EXPECT_TRUE(silent[0]->is_closed());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(get(server, "/honest").status, 200);
  EXPECT_GE(server.sample().closed_for_room, 1);
}

TEST(HttpConnections, WhoIsBeingAnsweredKeepsItsPlaceAndOthersAreTold) {
  HttpOptions options = quick_options();
  options.max_connections = 2;
  Held held;
  RunningServer server(holding(held), options);
  Clients busy = connect(server, 2, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
  ASSERT_TRUE(becomes_true([&] { return held.has(2); }));
  const TestAnswer refused = get(server, "/");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_NE(refused.body.find("2 connections"), std::string::npos) << refused.body;
  EXPECT_NE(refused.body.find("--max-connections"), std::string::npos) << refused.body;
  // More silent ones than there are spare places hold up no probe.
  const Clients silent = connect(server, 100, "");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(server, "/alive").body, "well");
  EXPECT_TRUE(becomes_true([&] { return server.sample().refused_full >= 37; }));
  held.release();
  for (const auto& client : busy) EXPECT_EQ(client->read_answer().body, "begin done");
  busy.clear();
  EXPECT_TRUE(becomes_true([&] {
    TestClient client(server.port());
    client.send_request("GET", "/");
    return client.read_until("begin").ends_with("begin");
  }));
}

TEST(HttpConnections, OnePeerHasNoMoreThanItsBound) {
  HttpOptions options = quick_options();
  options.max_connections_per_peer = 2;
  Held held;
  RunningServer server(holding(held), options);
  TestClient a(server.port(), 0, kPeer), b(server.port(), 0, kPeer), c(server.port(), 0, kPeer);
  a.send_request("GET", "/");
  b.send_request("GET", "/");
  ASSERT_TRUE(becomes_true([&] { return held.has(2); }));
  c.send_request("GET", "/");
  const TestAnswer refused = c.read_answer();
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find("--max-connections-per-peer"), std::string::npos) << refused.body;
  c.close();
  EXPECT_TRUE(becomes_true([&] { return server.sample().refused_of_peer == 1; }));
  TestClient other(server.port());
  other.send_request("GET", "/");
  EXPECT_TRUE(becomes_true([&] { return held.has(3); }));
}

TEST(HttpConnections, AreCountedByWhatTheyDo) {
  Held held;
  RunningServer server(holding(held));
  const Clients idle = connect(server, 3, "");
  TestClient busy(server.port());
  busy.send_request("GET", "/");
  EXPECT_TRUE(becomes_true([&] {
    const HttpSample sample = server.sample();
    return sample.idle_connections == 3 && sample.active_connections == 1 && sample.accepted == 4;
  }));
}

HttpOptions little_memory() {
  HttpOptions options = quick_options();
  options.body_limit = 2000;
  options.body_memory = 4000;
  return options;
}

std::string begin_of_body(size_t n_announced, size_t n_sent) {
  return "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(n_announced) +
         "\r\n\r\n" + std::string(n_sent, 'x');
}

TEST(HttpBodies, OnlyWhatHasComeTakesMemoryAndOneClientTakesHalfAtMost) {
  RunningServer server(echo, little_memory());
  const Clients announcing = connect(server, 50, begin_of_body(2000, 0));
  TestClient slow(server.port(), 0, kPeer), greedy(server.port(), 0, kPeer);
  slow.send(begin_of_body(1600, 1500));
  ASSERT_TRUE(becomes_true([&] { return server.sample().body_bytes == 1500; }));
  greedy.send(begin_of_body(1500, 1500));
  const TestAnswer refused = greedy.read_answer();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_NE(refused.body.find("--max-body-memory"), std::string::npos) << refused.body;
  EXPECT_EQ(server.sample().bodies_refused, 1);
  TestClient other(server.port());
  other.send(begin_of_body(1000, 1000));
  EXPECT_EQ(other.read_answer().status, 200);
  slow.send(std::string(100, 'x'));  // what has begun can end
  EXPECT_EQ(slow.read_answer().status, 200);
  EXPECT_TRUE(becomes_true([&] { return server.sample().body_bytes == 0; }));
}

TEST(HttpBodies, ManyThatStopHalfWayTakeNoMoreThanThereIsAndLeaveRoom) {
  HttpOptions options = little_memory();
  options.body_limit = 100'000;
  options.body_memory = 1'000'000;
  RunningServer server(echo, options);
  Clients clients;
  for (int i = 0; i < 60; ++i) {
    const std::string from = "127.0.1." + std::to_string(1 + i % 6);
    clients.push_back(std::make_unique<TestClient>(server.port(), 0, from.c_str()));
    clients.back()->send(begin_of_body(100'000, 90'000));
  }
  EXPECT_TRUE(becomes_true([&] { return server.sample().bodies_refused > 0; }));
  TestClient honest(server.port());
  honest.send(begin_of_body(50'000, 50'000));
  EXPECT_EQ(honest.read_answer().status, 200);
  EXPECT_LE(server.sample().body_bytes, 1'000'000);
  clients.clear();
  EXPECT_TRUE(becomes_true([&] { return server.sample().body_bytes == 0; }));
}

TEST(HttpBodies, AnAnswerThatTakesLongKeepsNoBodyThatWasRead) {
  std::promise<ReplyPtr> begun;
  HttpOptions options = little_memory();
  RunningServer server(
      [&](RequestPtr, ReplyPtr reply) {
        reply->begin_stream(text_response(""), "");
        begun.set_value(reply);
      },
      options);
  TestClient client(server.port());
  client.send(begin_of_body(1500, 1500));
  const ReplyPtr reply = begun.get_future().get();
  EXPECT_EQ(server.sample().body_bytes, 1500);
  reply->post([reply] { reply->release_body(); });
  EXPECT_TRUE(becomes_true([&] { return server.sample().body_bytes == 0; }));
}

}  // namespace
}  // namespace dbrx
