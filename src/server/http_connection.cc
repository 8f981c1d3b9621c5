#include "server/http_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "server/api_error.h"
#include "server/client_address.h"

namespace dbrx {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kMaxPipelinedBytes = 64 << 10;
// A refused client may still be sending: closing at once would reset the connection and could
// destroy the answer before it is read.
constexpr std::chrono::seconds kLingerTime{2};
constexpr size_t kLingerBytes = 64 << 20;
constexpr std::chrono::seconds kLookInterval{1};
// What a connection gets for its request where there is a spare place for it only.
constexpr std::chrono::milliseconds kSparePatience{2000};

// Whether the other side has sent its FIN or a reset, read or not.
bool peer_has_closed(asio::ip::tcp::socket& socket) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  const int failed = getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size);
  return failed != 0 || info.tcpi_state != TCP_ESTABLISHED;
}

std::string address_of(const asio::ip::tcp::socket& socket) {
  error_code ec;
  const asio::ip::tcp::endpoint peer = socket.remote_endpoint(ec);
  return plain_address(ec ? "" : peer.address().to_string()).value_or("unknown");
}

}  // namespace

void Deadline::start(std::chrono::milliseconds after) {
  expired_ = false;
  timer_.expires_after(after);
  uint64_t mine = ++*generation_;
  timer_.async_wait([this, mine, current = std::weak_ptr(generation_)](error_code ec) {
    auto generation = current.lock();
    if (ec || !generation || mine != *generation) return;
    expired_ = true;
    socket_.cancel(ec);
  });
}

void Deadline::stop() {
  ++*generation_;
  timer_.cancel();
}

ConnectionHub::ConnectionHub(HttpOptions options_in, HttpHandler handler_in)
    : options(std::move(options_in)),
      handler(std::move(handler_in)),
      places(options.max_connections, options.max_connections_per_peer) {
  const size_t memory = options.body_memory > 0 ? options.body_memory : 16 * options.body_limit;
  bodies = std::make_shared<BodyBudget>(static_cast<int64_t>(memory));
}

Connection::Connection(asio::ip::tcp::socket socket, ConnectionHub& hub,
                       std::unique_ptr<ConnectionPlaces::Place> place)
    : hub_(hub),
      place_(std::move(place)),
      is_late_(hub.draining),
      peer_(address_of(socket)),
      stream_(std::move(socket), hub.tls),
      deadline_(stream_.socket()),
      wake_(stream_.get_executor()),
      nap_(stream_.get_executor()),
      buffer_(std::max(hub.options.header_limit, kMaxPipelinedBytes) * 2) {}

void Connection::start() {
  hub_.open.insert(this);
  place_->set_close([this] { kill(); });
  spdlog::debug("{}: a connection begins, the {}th now", peer_, hub_.open.size());
  auto done = [self = shared_from_this()](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::exception& e) {
      spdlog::error("connection failed: {}", e.what());
    }
    spdlog::debug("{}: a connection ends: {}", self->peer_, self->end_);
    self->deadline_.stop();
    self->watching_ = false;
    if (self->exchange_) {
      self->exchange_->set_wake({});
      self->exchange_->client_gone();
    }
    error_code ignored;
    self->stream_.socket().close(ignored);
    self->hub_.open.erase(self.get());
    self->place_.reset();  // watch() may hold the rest for a moment
    self->hub_.on_closed();
  };
  try {
    asio::co_spawn(stream_.get_executor(), serve(), std::move(done));
  } catch (...) {  // out of memory
    hub_.open.erase(this);
    throw;
  }
}

void Connection::drain() {
  if (reading_ && !in_request_) {
    end_ = "the server ends";
    kill();
  }
  if (exchange_) exchange_->close_after();
}

void Connection::ask_to_finish() {
  if (reading_) return kill();
  if (exchange_) exchange_->ask_to_finish();
}

void Connection::kill() {
  if (exchange_) exchange_->client_gone();
  error_code ignored;
  stream_.socket().close(ignored);
}

Connection::Task<> Connection::serve() {
  error_code ignored;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  stream_.socket().set_option(asio::socket_base::keep_alive(true), ignored);
  if (stream_.is_tls()) {
    deadline_.start(patience(hub_.options.request_timeout));
    auto [ec] = co_await stream_.async_handshake(kAwait);
    deadline_.stop();
    if (ec) {
      place_->handshake_failed();
      end_ = "no TLS came about";
      spdlog::debug("{}: TLS: {}", peer_, deadline_.expired() ? "took too long" : ec.message());
      co_return;
    }
  }
  co_await serve_requests();
}

Connection::Task<> Connection::serve_requests() {
  while (true) {
    reading_ = true;
    exchange_.reset();
    Read read = co_await read_request();
    reading_ = false;
    if (read == Read::closed) co_return;
    if (read == Read::request) call_handler();
    bool goes_on = co_await answer();
    if (!goes_on) break;
  }
  co_await linger();
}

void Connection::refuse(int status, const std::string& message, const std::string& code) {
  exchange_->close_after();
  exchange_->send(error_response(ApiError(status, message, "", code)));
}

// has_body: it has not been read, and won't be when the answer is no.
bool Connection::is_admitted(bool has_body) {
  try {
    if (hub_.handler.admit) hub_.handler.admit(*request_);
    exchange_->set_headers(request_->answer_headers);
    return true;
  } catch (...) {
    exchange_->set_headers(request_->answer_headers);
    if (has_body) exchange_->close_after();
    answer_exception();
    spdlog::debug("{}: {} is not let in: {}", peer_, request_->id, exchange_->status());
    return false;
  }
}

bool Connection::is_open() const { return hub_.handler.is_open && hub_.handler.is_open(*request_); }

bool Connection::is_probe() const {
  return hub_.handler.is_probe && hub_.handler.is_probe(*request_);
}

std::chrono::milliseconds Connection::patience(std::chrono::milliseconds usual) const {
  return place_->is_spare() ? std::min(usual, kSparePatience) : usual;
}

void Connection::call_handler() {
  if (hub_.draining && !is_open()) {
    return refuse(503, "the server is shutting down", "shutting_down");
  }
  try {
    hub_.handler.answer(request_, exchange_);
  } catch (...) {
    answer_exception();
  }
}

void Connection::answer_exception() {
  try {
    throw;
  } catch (const ApiError& e) {
    exchange_->send(error_response(e));
  } catch (const std::exception& e) {
    spdlog::error("{} {}: {}", request_->method, sanitize_token(request_->path(), 200), e.what());
    exchange_->send(error_response(ApiError(500, "internal error", "", "internal_error")));
  }
}

Connection::Task<bool> Connection::answer() {
  co_await write_answer();
  request_.reset();
  bool goes_on = exchange_->is_complete() && !exchange_->is_gone() && exchange_->keep_alive() &&
                 !hub_.draining;
  co_return goes_on;
}

// Writes what the handler produces until the answer is complete or the client gone.
Connection::Task<> Connection::write_answer() {
  std::shared_ptr<Exchange> exchange = exchange_;
  delivered_ = false;
  n_written_ = 0;
  // Most small answers are complete already and need no watcher.
  if (!exchange->is_complete()) {
    watching_ = watch_runs_ = true;
    asio::co_spawn(stream_.get_executor(), watch(),
                   [self = shared_from_this()](std::exception_ptr) {
                     self->watch_runs_ = false;
                     self->wake_.cancel();
                   });
  }
  exchange->set_wake([this] {
    wake_.cancel();
    error_code ignored;
    if (exchange_->is_gone()) stream_.socket().cancel(ignored);  // a write may be stuck
  });
  while (!exchange->is_gone()) {
    if (exchange->has_unsent()) {
      const bool written = co_await write_unsent();
      if (!written) exchange->client_gone();
    } else if (exchange->is_complete()) {
      break;
    } else {
      co_await wait_for_wake(exchange->is_streaming());
    }
  }
  exchange->set_wake({});
  report_end();  // before any other task of this thread: no later request can be answered without
                 // this one counted
  co_await stop_watching();
}

Connection::Task<bool> Connection::write_unsent() {
  std::string data = exchange_->take_unsent();
  last_write_ = asio::steady_timer::clock_type::now();
  // A socket mostly has room, and then neither a deadline nor a wait is needed.
  error_code failed;
  size_t written = stream_.write_at_once(asio::buffer(data), failed);
  n_written_ += static_cast<int64_t>(written);
  if (failed) co_return false;
  while (written < data.size()) {
    // The deadline is for progress, not for the whole: large answers to slow lines are fine.
    deadline_.start(hub_.options.write_timeout);
    asio::const_buffer rest = asio::buffer(data) + written;
    auto [ec, n] = co_await stream_.async_write_some(rest, kAwait);
    deadline_.stop();
    if (ec) co_return false;
    written += n;
    n_written_ += static_cast<int64_t>(n);
    if (exchange_->is_gone() && written < data.size()) co_return false;
  }
  delivered_ = exchange_->is_complete() && !exchange_->has_unsent();
  co_return true;
}

// Returns when woken. Adds the keep-alive text after a while without news on an open stream.
Connection::Task<> Connection::wait_for_wake(bool streaming) {
  using Time = asio::steady_timer::time_point;
  // Moved when it went off too early, not for each chunk.
  const Time due = streaming ? last_write_ + hub_.options.ping_interval : Time::max();
  if (wake_.expiry() > due || wake_.expiry() <= Time::clock::now()) wake_.expires_at(due);
  auto [ec] = co_await wake_.async_wait(kAwait);
  if (ec || !streaming || Time::clock::now() < due) co_return;
  last_write_ = Time::clock::now();  // also where nothing may be written: an answer to HEAD
  exchange_->ping();
}

// Reads while an answer is in progress, since only reading tells that the client has left. What
// comes instead are the next, pipelined, requests. A client that shuts down its sending side counts
// as gone: the two can't be told apart, and generating for nobody is the dearer mistake.
Connection::Task<> Connection::watch() {
  auto self = shared_from_this();
  while (watching_ && buffer_.size() < kMaxPipelinedBytes) {
    auto [ec, n] = co_await stream_.async_read_some(buffer_.prepare(kConnectionReadBytes), kAwait);
    if (ec) {
      if (watching_) exchange_->client_gone();
      co_return;
    }
    buffer_.commit(n);
  }
  // The end of what it sends stands behind more than there is room for.
  while (watching_) {
    nap_.expires_after(kLookInterval);
    co_await nap_.async_wait(kAwait);
    if (watching_ && peer_has_closed(stream_.socket())) {
      exchange_->client_gone();
      co_return;
    }
  }
}

Connection::Task<> Connection::stop_watching() {
  watching_ = false;
  error_code ignored;
  if (watch_runs_) stream_.socket().cancel(ignored);
  nap_.cancel();
  while (watch_runs_) {
    wake_.expires_at(asio::steady_timer::time_point::max());
    co_await wake_.async_wait(kAwait);
  }
}

// Lets the answer arrive before the socket closes.
Connection::Task<> Connection::linger() {
  error_code ec;
  place_->be_closable();
  deadline_.start(kLingerTime);
  if (stream_.is_tls()) co_await stream_.async_shutdown(kAwait);  // its goodbye, then the socket's
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  size_t discarded = 0;
  while (!ec && discarded < kLingerBytes && !deadline_.expired()) {
    buffer_.clear();
    auto [read_ec, n] =
        co_await stream_.socket().async_read_some(buffer_.prepare(kConnectionReadBytes), kAwait);
    ec = read_ec;
    discarded += n;
  }
}

void Connection::report_end() {
  if (!hub_.handler.on_end) return;
  using std::chrono::duration;
  const double seconds = duration<double>(std::chrono::steady_clock::now() - started_).count();
  const bool left = exchange_->is_gone() && !delivered_;
  if (left) end_ = "the client left or read too slowly";
  try {
    hub_.handler.on_end(*request_, {.status = left ? 499 : exchange_->status(),
                                    .seconds = seconds,
                                    .bytes = n_written_,
                                    .notes = exchange_->take_notes()});
  } catch (const std::exception& e) {  // out of memory: the client need not hear of it
    spdlog::error("the end of {} is not recorded: {}", request_->id, e.what());
  }
}

}  // namespace dbrx
