#include "server/http.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "server/bound_port.h"
#include "server/http_connection.h"
#include "server/tls_stream.h"

// GCC 12 takes the two halves of a coroutine frame's own allocator for strangers when it inlines
// one of them only.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace dbrx {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// What a request that was asked to finish gets to write its last words: it has them at once, but
// its client may read slowly.
constexpr std::chrono::seconds kLastWords{2};

double seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

struct HttpServer::State {
  State(HttpOptions options, HttpHandler handler)
      : hub(std::move(options), std::move(handler)),
        acceptor(io),
        signals(io),
        hangup(io),
        ticker(io),
        shutdown(io) {
    if (!hub.options.tls.certificate.empty()) use_certificate(make_tls_context(hub.options.tls));
    hub.gate = std::make_shared<IoGate>(io);
    hub.on_closed = [this] { finish_when_empty(); };
  }

  asio::awaitable<void> accept_loop();
  asio::awaitable<void> tick_loop();
  void admit(tcp::socket socket);
  void wait_for_signal();
  void wait_for_hangup();
  void use_certificate(std::shared_ptr<asio::ssl::context> context);
  void leave();
  void begin_drain();
  void stop_now();
  void ask_all_to_finish();
  void finish_when_empty();

  ConnectionHub hub;  // first: connections may live until io ends
  asio::io_context io{1};
  tcp::acceptor acceptor;
  asio::signal_set signals;
  asio::signal_set hangup;
  asio::steady_timer ticker;
  asio::steady_timer shutdown;
  std::function<void()> each_second;
  std::function<void()> on_hangup;
  std::function<void()> on_leaving;
  std::atomic<int64_t> certificate_expires{0};  // with TLS
  bool ending = false;  // only connections that began while draining are left
};

HttpServer::HttpServer(HttpOptions options, HttpHandler handler)
    : state_(std::make_unique<State>(std::move(options), std::move(handler))) {}

HttpServer::~HttpServer() { state_->hub.gate->close(); }

uint16_t HttpServer::bind() {
  BoundPort port(state_->hub.options.host, state_->hub.options.port);
  return listen(port);
}

uint16_t HttpServer::listen(BoundPort& port) {
  tcp::acceptor& acceptor = state_->acceptor;
  acceptor.assign(port.is_v6() ? tcp::v6() : tcp::v4(), port.release());
  error_code ec;
  acceptor.listen(asio::socket_base::max_listen_connections, ec);
  // Another program that took the port too may have been the first to listen.
  if (ec == asio::error::address_in_use) fail_port_in_use(state_->hub.options.host, port.port());
  if (ec) throw Error(Code::internal, "can't listen: " + ec.message());
  // From here on, so that a signal right after the port is announced drains like any other.
  if (state_->hub.options.handle_signals) {
    state_->wait_for_signal();
    state_->wait_for_hangup();
  }
  return port.port();
}

void HttpServer::run() {
  State& state = *state_;
  CHECK(state.acceptor.is_open());
  asio::co_spawn(state.io, state.accept_loop(), asio::detached);
  asio::co_spawn(state.io, state.tick_loop(), asio::detached);
  while (true) {
    try {
      state.io.run();
      return;
    } catch (const std::exception& e) {  // of a posted task: most likely out of memory
      spdlog::error("I/O thread: {}", e.what());
    }
  }
}

void HttpServer::stop(bool drain) {
  state_->hub.gate->post([state = state_.get(), drain] {
    if (drain) {
      state->begin_drain();
    } else {
      state->stop_now();
    }
  });
}

bool HttpServer::is_draining() const { return state_->hub.draining; }

HttpSample HttpServer::sample() const {
  HttpSample sample = state_->hub.places.sample();
  sample.body_bytes = state_->hub.bodies->n_taken();
  sample.bodies_refused = state_->hub.bodies->n_refused();
  return sample;
}
bool HttpServer::is_leaving() const { return state_->hub.leaving; }

void HttpServer::post(std::function<void()> task) { state_->hub.gate->post(std::move(task)); }

void HttpServer::each_second(std::function<void()> task) { state_->each_second = std::move(task); }

void HttpServer::on_hangup(std::function<void()> task) { state_->on_hangup = std::move(task); }

void HttpServer::on_leaving(std::function<void()> task) { state_->on_leaving = std::move(task); }

std::function<void()> HttpServer::read_certificate() const {
  return [state = state_.get(), context = make_tls_context(state_->hub.options.tls)] {
    state->use_certificate(context);
  };
}

std::optional<int64_t> HttpServer::certificate_expiry() const {
  if (state_->hub.options.tls.certificate.empty()) return std::nullopt;
  return state_->certificate_expires;
}

asio::awaitable<void> HttpServer::State::accept_loop() {
  bool complained = false;
  while (acceptor.is_open()) {
    auto [ec, socket] = co_await acceptor.async_accept(kAwait);
    if (!acceptor.is_open()) co_return;
    if (!ec) {
      complained = false;
      try {
        admit(std::move(socket));
      } catch (const std::exception& e) {  // out of memory costs one client, not all later ones
        spdlog::error("can't take a connection: {}", e.what());
      }
      continue;
    }
    // Most likely out of file descriptors: wait for some to come back.
    if (!complained) spdlog::warn("can't accept connections: {}", ec.message());
    complained = true;
    asio::steady_timer pause(io, std::chrono::milliseconds(100));
    co_await pause.async_wait(kAwait);
  }
}

asio::awaitable<void> HttpServer::State::tick_loop() {
  while (acceptor.is_open()) {
    try {
      const std::string news = hub.places.news();
      if (!news.empty()) spdlog::warn("connections: {}", news);
      if (each_second) each_second();
    } catch (const std::exception& e) {  // out of memory costs one look, not all later ones
      spdlog::error("the look of each second: {}", e.what());
    }
    ticker.expires_after(std::chrono::seconds(1));
    co_await ticker.async_wait(kAwait);
  }
}

void HttpServer::State::admit(tcp::socket socket) {
  error_code gone;
  const tcp::endpoint peer = socket.remote_endpoint(gone);
  if (gone) return;
  auto place = hub.places.take(peer.address());
  if (place) std::make_shared<Connection>(std::move(socket), hub, std::move(place))->start();
}

void HttpServer::State::wait_for_signal() {
  error_code ignored;
  signals.add(SIGINT, ignored);  // does nothing the second time
  signals.add(SIGTERM, ignored);
  signals.async_wait([this](error_code ec, int number) {
    if (ec) return;
    if (hub.draining) {
      spdlog::warn("signal {} again: stopping now", number);
      return stop_now();
    }
    wait_for_signal();
    if (hub.leaving || hub.options.shutdown_delay.count() == 0) {
      spdlog::info("signal {}: finishing {} connections, at most {} s", number, hub.open.size(),
                   seconds(hub.options.shutdown_timeout));
      return begin_drain();
    }
    spdlog::info("signal {}: not ready any more, still answering for {} s", number,
                 seconds(hub.options.shutdown_delay));
    leave();
    shutdown.expires_after(hub.options.shutdown_delay);
    shutdown.async_wait([this](error_code ec) {
      if (!ec) begin_drain();
    });
  });
}

void HttpServer::State::wait_for_hangup() {
  error_code ignored;
  hangup.add(SIGHUP, ignored);  // does nothing the second time
  hangup.async_wait([this](error_code ec, int) {
    if (ec) return;
    wait_for_hangup();  // first: reading may throw
    spdlog::info("SIGHUP: reading files again");
    if (on_hangup) on_hangup();
  });
}

void HttpServer::State::use_certificate(std::shared_ptr<asio::ssl::context> context) {
  const int64_t expires = dbrx::certificate_expiry(*context);
  if (expires < std::time(nullptr)) {
    spdlog::warn("{}: the certificate, or one of its chain, has expired",
                 hub.options.tls.certificate);
  }
  certificate_expires = expires;
  hub.tls = std::move(context);
}

void HttpServer::State::leave() {
  if (!std::exchange(hub.leaving, true) && on_leaving) on_leaving();
}

// New connections are still accepted, to be told.
void HttpServer::State::begin_drain() {
  if (std::exchange(hub.draining, true)) return;
  leave();
  for (Connection* connection : hub.open) connection->drain();
  shutdown.expires_after(hub.options.shutdown_timeout);
  shutdown.async_wait([this](error_code ec) {
    if (!ec) ask_all_to_finish();
  });
  finish_when_empty();
}

void HttpServer::State::ask_all_to_finish() {
  for (Connection* connection : hub.open) connection->ask_to_finish();
  shutdown.expires_after(kLastWords);
  shutdown.async_wait([this](error_code ec) {
    if (!ec) stop_now();
  });
}

void HttpServer::State::stop_now() {
  begin_drain();
  for (Connection* connection : hub.open) connection->kill();
}

void HttpServer::State::finish_when_empty() {
  const auto holds_up = [](const Connection* connection) { return !connection->is_late(); };
  if (!hub.draining || std::any_of(hub.open.begin(), hub.open.end(), holds_up)) return;
  error_code ignored;
  if (!std::exchange(ending, true)) {
    acceptor.close(ignored);
    ticker.cancel();
    for (Connection* connection : hub.open) connection->drain();
    shutdown.expires_after(kLastWords);
    shutdown.async_wait([this](error_code ec) {
      if (!ec) stop_now();
    });
  }
  // Nobody is left for whom timers still run (Reply::post_after) or answers are made.
  if (hub.open.empty()) io.stop();
}

}  // namespace dbrx
