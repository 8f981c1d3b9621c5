#include "telemetry/trace_exporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <thread>
#include <vector>

#include "base/error.h"

namespace dbrx {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

// Takes POSTs and answers with a status.
class Collector {
 public:
  explicit Collector(unsigned status) : thread_([this, status] { serve(status); }) {}
  // NOLINTNEXTLINE(bugprone-exception-escape): a test that cannot end its thread may abort
  ~Collector() { stop(); }

  TraceEndpoint endpoint() const {
    return {.host = "127.0.0.1",
            .port = std::to_string(acceptor_.local_endpoint().port()),
            .path = "/v1/traces"};
  }

  // The requests it got. To be called once the exporter is gone.
  const std::vector<http::request<http::string_body>>& stop() {
    if (thread_.joinable()) {
      asio::io_context io;
      asio::ip::tcp::socket(io).connect(acceptor_.local_endpoint());  // says nothing
      thread_.join();
    }
    return requests_;
  }

 private:
  void serve(unsigned status) {
    while (true) {
      asio::ip::tcp::socket socket(io_);
      acceptor_.accept(socket);
      boost::beast::flat_buffer buffer;
      http::request<http::string_body> request;
      boost::system::error_code ec;
      http::read(socket, buffer, request, ec);
      if (ec) return;
      requests_.push_back(std::move(request));
      http::response<http::string_body> response(static_cast<http::status>(status), 11);
      response.prepare_payload();
      http::write(socket, response);
    }
  }

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  std::vector<http::request<http::string_body>> requests_;
  std::thread thread_;  // last: it uses the others
};

size_t n_spans(const http::request<http::string_body>& request) {
  const json::value body = json::parse(request.body());
  return body.at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").as_array().size();
}

TEST(TraceEndpoint, IsReadFromAUrl) {
  const auto read = [](const std::string& url) {
    const TraceEndpoint endpoint = parse_trace_endpoint(url);
    return endpoint.host + " " + endpoint.port + " " + endpoint.path;
  };
  EXPECT_EQ(read("http://localhost:4318/v1/traces"), "localhost 4318 /v1/traces");
  EXPECT_EQ(read("http://otel"), "otel 4318 /v1/traces");
  EXPECT_EQ(read("http://otel:80/"), "otel 80 /v1/traces");
  EXPECT_EQ(read("http://[::1]:99/in?x=1"), "::1 99 /in?x=1");
  for (const char* url : {"", "localhost:4318", "https://otel:4318", "http://", "http://a b/",
                          "http://user@host/", "http://host:port/"}) {
    EXPECT_THROW(parse_trace_endpoint(url), Error) << url;
  }
}

TEST(TraceExporter, PostsWhatItWasGivenBeforeItEnds) {
  std::atomic<int64_t> dropped{0};
  Collector collector(200);
  {
    TraceExporter exporter(collector.endpoint(), {.service = "dbrx", .version = "1"},
                           [&](int64_t n) { dropped += n; });
    RequestRecord record;
    record.id = "a";
    exporter.add(record);
    record.parent.sampled = false;  // its caller does not record it
    exporter.add(record);
  }
  ASSERT_EQ(collector.stop().size(), 1U);
  const auto& request = collector.stop().front();
  EXPECT_EQ(request.target(), "/v1/traces");
  EXPECT_EQ(request[http::field::content_type], "application/json");
  EXPECT_EQ(n_spans(request), 1U);
  EXPECT_EQ(dropped, 0);
}

TEST(TraceExporter, SendsManyInSeveralBatches) {
  std::atomic<int64_t> dropped{0};
  Collector collector(200);
  {
    TraceExporter exporter(collector.endpoint(), {}, [&](int64_t n) { dropped += n; });
    for (int i = 0; i < 1000; ++i) exporter.add({});
  }
  size_t sum = 0;
  for (const auto& request : collector.stop()) {
    EXPECT_LE(n_spans(request), 256U);
    sum += n_spans(request);
  }
  EXPECT_EQ(sum, 1000U);
  EXPECT_EQ(dropped, 0);
}

TEST(TraceExporter, CountsTheSpansThatTheCollectorDoesNotTake) {
  std::atomic<int64_t> dropped{0};
  Collector collector(503);
  RequestRecord queued;  // it and its wait in the queue: two spans
  queued.choices.emplace_back().times = {.submitted = RequestRecord::Time(std::chrono::seconds(1)),
                                         .scheduled = RequestRecord::Time(std::chrono::seconds(2)),
                                         .first_token = {},
                                         .now = {}};
  {
    TraceExporter exporter(collector.endpoint(), {}, [&](int64_t n) { dropped += n; });
    exporter.add({});
    exporter.add(queued);
  }
  EXPECT_EQ(dropped, 3);
}

// Nobody answers: the connection is made and then silent.
TEST(TraceExporter, AFullQueueDropsAtOnceAndTheEndIsNear) {
  std::atomic<int64_t> dropped{0};
  asio::io_context io;
  asio::ip::tcp::acceptor silent(io, {asio::ip::address_v4::loopback(), 0});
  const std::string port = std::to_string(silent.local_endpoint().port());
  const auto start = std::chrono::steady_clock::now();
  {
    TraceExporter exporter({.host = "127.0.0.1", .port = port, .path = "/"}, {},
                           [&](int64_t n) { dropped += n; });
    for (int i = 0; i < 10'000; ++i) exporter.add({});
    EXPECT_GT(dropped, 1000);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
  EXPECT_EQ(dropped, 10'000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace dbrx
