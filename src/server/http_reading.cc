// How a connection reads requests: Connection's part of RFC 9112.
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/http_connection.h"
#include "server/identity.h"

namespace dbrx {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kFirstReadBytes = 512;  // most connections wait most of the time, and hold no more

struct Refusal {
  int status;
  std::string message;
  const char* code;
};

Refusal refusal_of(const error_code& ec, const HttpOptions& options) {
  if (ec == http::error::body_limit) {
    return {413,
            "the request body is larger than " + std::to_string(options.body_limit) +
                " bytes (--body-limit)",
            "body_too_large"};
  }
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return {431,
            "the request's header fields are larger than " + std::to_string(options.header_limit) +
                " bytes (--header-limit)",
            "header_too_large"};
  }
  if (ec == http::error::bad_version)
    return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here", ""};
  return {400, "this is not a well-formed HTTP request", "bad_http"};
}

bool is_parse_error(const error_code& ec) {
  return ec.category() == make_error_code(http::error::bad_method).category() &&
         ec != http::error::end_of_stream && ec != http::error::partial_message;
}

// "/path?query" of "http://host/path?query", which proxies may send (RFC 9112, 3.2.2); others as
// they are.
std::string origin_form(std::string_view target, std::string_view method) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equals_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    if (target.empty()) return method == "OPTIONS" ? "*" : "/";
    return (target.front() == '?' ? "/" : "") + std::string(target);
  }
  return std::string(target);
}

// Others, and chunked after others, would have to be undone to get at the body.
template <typename Head>
bool is_chunked_at_most(const Head& head) {
  const size_t n = head.count(http::field::transfer_encoding);
  return n == 0 ||
         (n == 1 && equals_ignoring_case(head[http::field::transfer_encoding], "chunked"));
}

// Who shares what one client's bodies may take.
std::string owner_of_body(const HttpRequest& request, const std::string& peer) {
  const bool has_key = request.client && request.client->id != 0;
  return has_key ? "key " + std::to_string(request.client->id) : "peer " + peer;
}

}  // namespace

Connection::Task<Connection::Read> Connection::read_request() {
  in_request_ = has_begin_of_request();
  if (!in_request_) {
    if (hub_.draining && !is_late_) {
      end_ = "the server ends";
      co_return Read::closed;
    }
    place_->wait();
    in_request_ = co_await wait_for_request();
    if (!in_request_) co_return Read::closed;
  }
  place_->be_closable();
  started_ = std::chrono::steady_clock::now();
  deadline_.start(patience(hub_.options.request_timeout));
  Read read = co_await read_message();
  deadline_.stop();
  co_return read;
}

// Whether there is more in the buffer than empty lines, which are skipped (RFC 9112, 2.2).
bool Connection::has_begin_of_request() {
  const auto text = [this] {
    return std::string_view(static_cast<const char*>(buffer_.data().data()), buffer_.size());
  };
  while (text().starts_with("\r\n")) buffer_.consume(2);
  return !text().empty() && text() != "\r";
}

// False: none has come.
Connection::Task<bool> Connection::wait_for_request() {
  buffer_.shrink_to_fit();
  deadline_.start(patience(hub_.options.idle_timeout));
  while (!has_begin_of_request()) {
    auto [ec, n] = co_await stream_.async_read_some(buffer_.prepare(kFirstReadBytes), kAwait);
    if (ec) {
      // Who closed it has said why.
      if (stream_.socket().is_open()) {
        end_ = deadline_.expired() ? "it was idle" : "the client left";
      }
      break;
    }
    buffer_.commit(n);
  }
  deadline_.stop();
  co_return has_begin_of_request();
}

// Parses one message out of buffer_ and the socket. Sets exchange_, unless the outcome is closed.
Connection::Task<Connection::Read> Connection::read_message() {
  Parser parser;
  parser.header_limit(static_cast<uint32_t>(hub_.options.header_limit));
  parser.body_limit(hub_.options.body_limit);
  request_ = std::make_shared<HttpRequest>();
  buffer_.reserve(kConnectionReadBytes);
  auto [header_ec, header_n] = co_await http::async_read_header(stream_, buffer_, parser, kAwait);
  error_code ec = header_ec;
  place_->work();
  take_head(parser, !ec);
  if (!accepts_head(parser, ec)) co_return Read::refused;
  if (!ec && !parser.is_done()) ec = co_await read_body(parser);
  if (exchange_->is_complete()) co_return Read::refused;
  if (!ec) {
    request_->body = std::move(parser.get().body());
    co_return Read::request;
  }
  if (deadline_.expired()) {
    refuse(408, "the request did not arrive completely in time", "request_timeout");
    co_return Read::refused;
  }
  if (!is_parse_error(ec)) {
    end_ = "the client left within a request";
    exchange_.reset();
    co_return Read::closed;
  }
  Refusal refusal = refusal_of(ec, hub_.options);
  refuse(refusal.status, refusal.message, refusal.code);
  co_return Read::refused;
}

// Of a bad request: as far as it was understood.
void Connection::take_head(const Parser& parser, bool is_whole) {
  const auto& head = parser.get();
  request_->method = std::string(head.method_string());
  request_->target = origin_form(head.target(), request_->method);
  request_->peer = peer_;
  for (const auto& field : head) {
    request_->headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  request_->id = choose_request_id(request_->header("x-request-id"));
  begin_exchange(parser.is_header_done() && head.version() < 11, is_whole && parser.keep_alive());
}

// Whether there is no reason yet to refuse it; else the refusal is sent. ec: how reading it ended.
bool Connection::accepts_head(const Parser& parser, error_code ec) {
  const auto& head = parser.get();
  const auto no = [this](int status, const std::string& message, const char* code) {
    refuse(status, message, code);
    return false;
  };
  if (!ec && head.version() == 11 && head.count(http::field::host) != 1) {
    return no(400, "an HTTP/1.1 request needs exactly one Host header", "bad_http");
  }
  if (!ec && !is_chunked_at_most(head)) {
    return no(501, "the only transfer encoding understood is chunked", "");
  }
  // A body that is announced as too large is told of in its turn: to those who have a key.
  const bool has_head = !ec || ec == http::error::body_limit;
  if (has_head && place_->is_spare()) {
    if (!is_probe()) return no(503, place_->reason(), "too_many_connections");
    place_->has_served();
  }
  if (has_head && !is_admitted(/*has_body=*/!parser.is_done())) return false;
  if (!ec && !parser.is_done() && is_open()) {
    return no(413, "this route takes no body", "body_too_large");
  }
  return true;
}

// What of it has come counts at once, so that many who send slowly can't take more than all who
// send at all. May refuse the request.
Connection::Task<error_code> Connection::read_body(Parser& parser) {
  const std::string_view expect = request_->header("expect");
  if (!expect.empty()) {
    if (!equals_ignoring_case(expect, "100-continue")) {
      refuse(417, "the only expectation understood is 100-continue", "");
      co_return error_code();
    }
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    auto [ec, n] = co_await asio::async_write(stream_, asio::buffer(kContinue), kAwait);
    if (ec) co_return ec;
  }
  const auto share = hub_.bodies->open(owner_of_body(*request_, place_->peer()));
  parser.eager(true);
  while (!parser.is_done()) {
    auto [ec, n] = co_await http::async_read_some(stream_, buffer_, parser, kAwait);
    if (ec) co_return ec;
    if (share->grow_to(static_cast<int64_t>(parser.get().body().size()))) continue;
    refuse(503,
           "the memory for request bodies is in use, or your part of it (--max-body-memory): try "
           "again later",
           "resource_exhausted");
    co_return error_code();
  }
  request_->body_memory = share;
  co_return error_code();
}

void Connection::begin_exchange(bool http_1_0, bool keep_alive) {
  const bool goes_on = keep_alive && !hub_.leaving && !place_->is_spare();
  exchange_ = std::make_shared<Exchange>(Exchange::Setup{
      .gate = hub_.gate,
      .request_id = request_->id,
      .head_only = request_->method == "HEAD",
      .http_1_0 = http_1_0,
      .keep_alive = goes_on,
      .buffer_limit = hub_.options.stream_buffer_limit,
      .request = hub_.options.keep_bodies ? std::weak_ptr<HttpRequest>() : request_});
}

}  // namespace dbrx
