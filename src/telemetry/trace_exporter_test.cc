#include "telemetry/trace_exporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <thread>

#include "base/error.h"

namespace dbrx {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

// Takes one POST and answers with a status.
class Collector {
 public:
  explicit Collector(unsigned status) : thread_([this, status] { serve(status); }) {}
  ~Collector() { thread_.join(); }

  TraceEndpoint endpoint() const {
    return {.host = "127.0.0.1",
            .port = std::to_string(acceptor_.local_endpoint().port()),
            .path = "/v1/traces"};
  }

  http::request<http::string_body> request;  // once the exporter is gone

 private:
  void serve(unsigned status) {
    asio::ip::tcp::socket socket(io_);
    acceptor_.accept(socket);
    boost::beast::flat_buffer buffer;
    http::read(socket, buffer, request);
    http::response<http::string_body> response(static_cast<http::status>(status), 11);
    response.prepare_payload();
    http::write(socket, response);
  }

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  std::thread thread_;  // last: it uses the others
};

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
  EXPECT_EQ(collector.request.target(), "/v1/traces");
  EXPECT_EQ(collector.request[http::field::content_type], "application/json");
  const json::value body = json::parse(collector.request.body());
  const json::value& spans = body.at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans");
  EXPECT_EQ(spans.as_array().size(), 1U);
  EXPECT_EQ(dropped, 0);
}

TEST(TraceExporter, CountsWhatTheCollectorDoesNotTake) {
  std::atomic<int64_t> dropped{0};
  Collector collector(503);
  {
    TraceExporter exporter(collector.endpoint(), {}, [&](int64_t n) { dropped += n; });
    exporter.add({});
    exporter.add({});
  }
  EXPECT_EQ(dropped, 2);
}

TEST(TraceExporter, AFullQueueDropsAtOnce) {
  std::atomic<int64_t> dropped{0};
  // Nobody accepts: the connection hangs, or is refused.
  asio::io_context io;
  asio::ip::tcp::acceptor silent(io, {asio::ip::address_v4::loopback(), 0});
  TraceExporter exporter(
      {.host = "127.0.0.1", .port = std::to_string(silent.local_endpoint().port()), .path = "/"},
      {}, [&](int64_t n) { dropped += n; });
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) exporter.add({});
  EXPECT_GT(dropped, 1000);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  silent.close();
}

}  // namespace
}  // namespace dbrx
