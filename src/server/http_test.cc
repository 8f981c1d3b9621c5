// HTTP alone, with handlers of the test's own instead of an engine.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <utility>

#include "server/http_text.h"
#include "server/running_server.h"

namespace dbrx {
namespace {

using namespace std::chrono_literals;
TEST(Http, AnswersOneRequestAfterAnotherOnOneConnection) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send_request("GET", "/a?b=c");
  EXPECT_EQ(client.read_answer().body, "GET /a?b=c ");
  client.send_request("POST", "/x", "hello");
  EXPECT_EQ(client.read_answer().body, "POST /x hello");
}

TEST(Http, AnswersPipelinedRequestsInOrder) {
  std::vector<std::thread> delays;
  RunningServer server([&](RequestPtr request, ReplyPtr reply) {
    delays.emplace_back([request, reply] {
      std::this_thread::sleep_for(20ms);
      reply->post([=] { reply->send(text_response(request->target)); });
    });
  });
  TestClient client(server.port());
  client.send(
      "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(client.read_answer().body, "/1");
  EXPECT_EQ(client.read_answer().body, "/2");
  EXPECT_EQ(client.read_answer().body, "/3");
  server.stop(false);
  EXPECT_TRUE(server.returns());
  for (std::thread& thread : delays) thread.join();
}

TEST(Http, TakesChunkedBodies) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.read_answer().body, "POST / abcde");
}

// As forward proxies write them (RFC 9112, 3.2.2).
TEST(Http, TakesWholeUrlsAsTargets) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send_request("GET", "http://test/a?b=c");
  EXPECT_EQ(client.read_answer().body, "GET /a?b=c ");
  client.send_request("GET", "HTTP://user@test:80?b");
  EXPECT_EQ(client.read_answer().body, "GET /?b ");
  client.send_request("GET", "https://test");
  EXPECT_EQ(client.read_answer().body, "GET / ");
  client.send_request("OPTIONS", "http://test");
  EXPECT_EQ(client.read_answer().body, "OPTIONS * ");
}

TEST(Http, SkipsEmptyLinesBeforeARequest) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send("\r\n\r");
  client.send("\n");
  client.send_request("POST", "/1", "x");
  client.send("\r\n");
  client.send_request("GET", "/2");
  EXPECT_EQ(client.read_answer().body, "POST /1 x");
  EXPECT_EQ(client.read_answer().body, "GET /2 ");
}

TEST(Http, RefusesBodiesThatAreTooLargeWithoutReadingThem) {
  RunningServer server(echo);
  TestClient sized(server.port());
  sized.send("POST / HTTP/1.1\r\nHost: t\r\nx-request-id: mine\r\nContent-Length: 1001\r\n\r\n");
  TestAnswer answer = sized.read_answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.header("x-request-id"), "mine");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_NE(answer.body.find("\"error\""), std::string::npos);
  EXPECT_NE(answer.body.find("1000 bytes (--body-limit)"), std::string::npos) << answer.body;
  TestClient chunked(server.port());
  chunked.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n");
  chunked.send(std::string(0x400, 'x') + "\r\n");
  EXPECT_EQ(chunked.read_answer().status, 413);
}

TEST(Http, Answers100ContinueOnlyWhenTheBodyIsWelcome) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("hi");
  EXPECT_EQ(client.read_answer().body, "POST / hi");
  client.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 413);
  TestClient strange(server.port());
  strange.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(strange.read_answer().status, 417);
}

TEST(Http, RefusesWhatIsNotHttp) {
  RunningServer server(echo);
  auto status_of = [&](std::string_view text) {
    TestClient client(server.port());
    client.send(text);
    return client.read_answer().status;
  };
  EXPECT_EQ(status_of("hello there\r\n\r\n"), 400);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);  // no Host
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(
      status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
      400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n"), 400);
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(status_of(post + "Transfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(
      status_of(post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
      501);
  EXPECT_EQ(status_of(post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400);
  EXPECT_EQ(status_of(post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(Http, RefusesFloodsOfHeaders) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: t\r\n");
  for (int i = 0; i < 1000; ++i) client.send("X-" + std::to_string(i) + ": aaaaaaaaaaaaaaaa\r\n");
  TestAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 431);
  EXPECT_NE(answer.body.find("8000 bytes"), std::string::npos) << answer.body;
  TestClient endless(server.port());
  endless.send("GET /" + std::string(100'000, 'a'));
  EXPECT_EQ(endless.read_answer().status, 431);
}

TEST(Http, TellsAClientThatSendsHalfARequestThatTimeIsUp) {
  HttpOptions options = quick_options();
  options.request_timeout = 100ms;
  RunningServer server(echo, options);
  TestClient head(server.port());
  head.send("GET / HT");
  EXPECT_EQ(head.read_answer().status, 408);
  TestClient body(server.port());
  body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(body.read_answer().status, 408);
}

TEST(Http, ClosesIdleConnectionsWithoutAWord) {
  HttpOptions options = quick_options();
  options.idle_timeout = 100ms;
  RunningServer server(echo, options);
  TestClient client(server.port());
  client.send_request("GET", "/");
  EXPECT_EQ(client.read_answer().status, 200);
  EXPECT_TRUE(client.is_closed());
}

TEST(Http, SpeaksHttp10) {
  RunningServer server([](RequestPtr request, ReplyPtr reply) {
    if (request->target == "/whole") return reply->send(text_response("whole"));
    reply->begin_stream(text_response(""), "");
    reply->write("in ");
    reply->write("pieces");
    reply->end(false);
  });
  TestClient whole(server.port());
  whole.send("GET /whole HTTP/1.0\r\n\r\n");
  EXPECT_EQ(whole.read_answer().body, "whole");
  EXPECT_TRUE(whole.is_closed());
  TestClient pieces(server.port());
  pieces.send("GET /stream HTTP/1.0\r\n\r\n");
  TestAnswer answer = pieces.read_answer();
  EXPECT_EQ(answer.header("transfer-encoding"), "");
  EXPECT_EQ(answer.body, "in pieces");
}

TEST(Http, AnswersHeadWithoutABody) {
  RunningServer server([](RequestPtr, ReplyPtr reply) { reply->send(text_response("12345")); });
  TestClient client(server.port());
  client.send_request("HEAD", "/");
  TestAnswer answer = client.read_answer(true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-length"), "5");
  client.send_request("GET", "/");
  EXPECT_EQ(client.read_answer().body, "12345");
}

TEST(Http, GivesEveryAnswerARequestIdAndRepeatsOnlyHarmlessOnes) {
  RunningServer server(echo);
  TestClient client(server.port());
  client.send_request("GET", "/", "", "X-Request-Id: trace-7/a\r\n");
  EXPECT_EQ(client.read_answer().header("x-request-id"), "trace-7/a");
  client.send_request("GET", "/", "", "X-Request-Id: has \"quotes\" and spaces\r\n");
  EXPECT_TRUE(client.read_answer().header("x-request-id").starts_with("req_"));
  client.send_request("GET", "/", "", "X-Request-Id: " + std::string(500, 'a') + "\r\n");
  EXPECT_TRUE(client.read_answer().header("x-request-id").starts_with("req_"));
}

TEST(Http, KeepsControlCharactersOutOfHeaders) {
  HttpResponse response;
  response.headers = {{"x-test", "a\r\nset-cookie: b"}};
  EXPECT_EQ(render_head(response, {}).find("\r\nset-cookie"), std::string::npos);
}

TEST(Http, TurnsExceptionsOfHandlersInto500) {
  RunningServer server([](RequestPtr, ReplyPtr) { throw std::runtime_error("secret detail"); });
  TestClient client(server.port());
  client.send_request("GET", "/");
  TestAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
}

TEST(Http, StreamsInChunksAndPingsWhileNothingHappens) {
  HttpOptions options = quick_options();
  options.ping_interval = 30ms;
  std::promise<ReplyPtr> begun;
  RunningServer server(
      [&](RequestPtr, ReplyPtr reply) {
        reply->begin_stream(text_response(""), "ping;");
        reply->write("begin;");
        begun.set_value(reply);
      },
      options);
  TestClient client(server.port());
  client.send_request("GET", "/");
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Transfer-Encoding: chunked"), std::string::npos) << head;
  EXPECT_EQ(client.read_until("begin;\r\n"), "6\r\nbegin;\r\n");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(client.read_until("ping;\r\n"), "5\r\nping;\r\n");
  const ReplyPtr reply = begun.get_future().get();
  reply->post([reply] {
    reply->write("end");
    reply->end(false);
  });
  const std::string rest = client.read_until("end\r\n0\r\n\r\n");
  EXPECT_TRUE(rest.ends_with("3\r\nend\r\n0\r\n\r\n")) << rest;
}

// The server is slow to see that its client got everything, and quick to answer the next one.
TEST(Http, CountsAnAnswerBeforeItAnswersWhatItsClientAsksNext) {
  std::atomic<int> ended{0};
  const auto handle = [&](const RequestPtr& request, const ReplyPtr& reply) {
    if (request->target == "/count") return reply->send(text_response(std::to_string(ended)));
    reply->post([reply] { reply->send(text_response("x")); });
  };
  RunningServer server(
      HttpHandler{.answer = handle, .on_end = [&](const HttpRequest& request, const HttpOutcome&) {
                    if (request.target != "/count") ++ended;
                  }});
  TestClient client(server.port()), other(server.port());
  for (int i = 1; i <= 500; ++i) {
    client.send_request("GET", "/");
    EXPECT_EQ(client.read_answer().body, "x");
    other.send_request("GET", "/count");
    ASSERT_EQ(other.read_answer().body, std::to_string(i));
  }
}

// A handler that never answers, but notes that it was told to give up.
struct Patient {
  std::atomic<int> started{0};
  std::atomic<int> aborted{0};

  Answer handler(bool stream) {
    return [this, stream](RequestPtr, ReplyPtr reply) {
      reply->on_abort([this] { ++aborted; });
      if (stream) reply->begin_stream(text_response(""), "");
      ++started;
    };
  }
};

TEST(Http, NoticesThatAClientLeftBeforeTheAnswer) {
  for (bool stream : {false, true}) {
    Patient patient;
    RunningServer server(patient.handler(stream));
    TestClient client(server.port());
    client.send_request("POST", "/", "x");
    EXPECT_TRUE(becomes_true([&] { return patient.started == 1; }));
    EXPECT_EQ(patient.aborted, 0);
    client.close();
    EXPECT_TRUE(becomes_true([&] { return patient.aborted == 1; }));
  }
}

TEST(Http, NoticesThatAClientLeftBehindMoreThanItHasRoomFor) {
  Patient patient;
  RunningServer server(patient.handler(false));
  TestClient client(server.port());
  client.send_request("POST", "/", "x");
  EXPECT_TRUE(becomes_true([&] { return patient.started == 1; }));
  client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 900\r\n\r\n" +
              std::string(150'000, 'x'));
  client.close();
  EXPECT_TRUE(becomes_true([&] { return patient.aborted == 1; }));
}

TEST(Http, GivesUpClientsThatDoNotKeepUpWithAStream) {
  HttpOptions options = quick_options();
  options.stream_buffer_limit = 100'000;
  std::atomic<int64_t> accepted{0};
  std::atomic<bool> aborted{false};
  std::atomic<bool> stop{false};
  std::thread producer;
  RunningServer server(
      [&](RequestPtr, ReplyPtr reply) {
        reply->on_abort([&] { aborted = true; });
        reply->begin_stream(text_response(""), "");
        producer = std::thread([&, reply] {
          while (!stop && !aborted) {
            std::this_thread::sleep_for(1ms);
            reply->post([&, reply] {
              if (!reply->is_open()) return;
              reply->write(std::string(20'000, 'x'));
              accepted += 20'000;
            });
          }
        });
      },
      options);
  TestClient client(server.port(), 4096);
  client.send_request("GET", "/");
  EXPECT_TRUE(becomes_true([&] { return aborted.load(); }));
  stop = true;
  producer.join();
  // What the kernel's buffers take comes on top of the limit.
  EXPECT_LT(accepted, 30'000'000);
}

TEST(Http, WritesWhatOneTaskGivesHoweverMuch) {
  HttpOptions options = quick_options();
  options.stream_buffer_limit = 100'000;
  RunningServer server(
      [&](RequestPtr, ReplyPtr reply) {
        reply->begin_stream(text_response(""), "");
        for (int i = 0; i < 3; ++i) reply->write(std::string(3'000'000, 'x'));
        reply->end(false);
      },
      options);
  TestClient client(server.port());
  client.send_request("GET", "/");
  EXPECT_EQ(client.read_answer().body.size(), 9'000'000u);
}

TEST(Http, GivesUpClientsThatStopReading) {
  HttpOptions options = quick_options();
  options.write_timeout = 1s;
  std::atomic<bool> aborted{false};
  RunningServer server(
      [&](RequestPtr, ReplyPtr reply) {
        reply->on_abort([&] { aborted = true; });
        reply->send(text_response(std::string(20'000'000, 'x')));
      },
      options);
  TestClient client(server.port(), 4096);
  client.send_request("GET", "/");
  EXPECT_TRUE(becomes_true([&] { return aborted.load(); }));
  TestClient other(server.port());
  other.send_request("GET", "/");
  EXPECT_EQ(other.read_answer().body.size(), 20'000'000u);
}

TEST(Http, DrainFinishesWhatRunsAndTakesNothingNew) {
  Held held;
  RunningServer server(HttpHandler{
      .answer = held.handler(),
      .is_open = [](const HttpRequest& request) { return request.path() == "/alive"; }});
  TestClient idle(server.port()), busy(server.port()), half(server.port());
  busy.send_request("GET", "/");
  half.send("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(becomes_true([&] { return held.has(1); }));
  server.stop(true);
  EXPECT_TRUE(idle.is_closed());
  {
    TestClient late(server.port());
    late.send_request("GET", "/");
    const TestAnswer refused = late.read_answer();
    EXPECT_EQ(refused.status, 503);
    EXPECT_NE(refused.body.find("shutting_down"), std::string::npos);
    TestClient probe(server.port());
    probe.send_request("GET", "/alive");
    ASSERT_TRUE(becomes_true([&] { return held.has(2); }));
  }
  TestClient silent(server.port());  // does not hold up the end
  half.send("Host: t\r\n\r\n");
  EXPECT_EQ(half.read_answer().status, 503);
  EXPECT_FALSE(server.has_returned());
  held.release();
  EXPECT_EQ(busy.read_answer().body, "begin done");
  busy.close();
  half.close();
  EXPECT_TRUE(server.returns());
  EXPECT_FALSE(TestClient(server.port()).connected());
}

TEST(Http, DrainEndsWhatTakesTooLong) {
  HttpOptions options = quick_options();
  options.shutdown_timeout = 100ms;
  Held held;
  RunningServer server(held.handler(), options);
  TestClient client(server.port());
  client.send_request("GET", "/");
  ASSERT_TRUE(becomes_true([&] { return held.has(1); }));
  server.stop(true);
  EXPECT_EQ(client.read_answer().body, "begin aborted");
  client.close();
  EXPECT_TRUE(server.returns());
  held.release();
}

TEST(Http, StopWithoutDrainEndsAtOnce) {
  Held held;
  RunningServer server(held.handler());
  TestClient client(server.port());
  client.send_request("GET", "/");
  ASSERT_TRUE(becomes_true([&] { return held.has(1); }));
  server.stop(false);
  EXPECT_TRUE(server.returns());
  held.release();
}

TEST(Http, RepliesMayOutliveTheServer) {
  Held held;
  {
    RunningServer server(held.handler());
    TestClient client(server.port());
    client.send_request("GET", "/");
    ASSERT_TRUE(becomes_true([&] { return held.has(1); }));
  }
  held.release();
}

}  // namespace
}  // namespace dbrx
