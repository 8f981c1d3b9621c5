// HTTP/1.1 on plain sockets, without a word about language models and without Beast in this header:
// limits, keep-alive, chunked streams, slow and vanished clients, drain. What a path means is the
// handler's business (router.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/bound_port.h"
#include "server/tls_files.h"
#include "telemetry/http_sample.h"

namespace dbrx {

struct Identity;

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpRequest {
  std::string id;      // the client's x-request-id when it is a sane one, else ours
  std::string method;  // "GET"
  std::string target;  // path and query, even where a client sent a whole URL
  std::string peer;    // address of the other end of its socket, which may be a proxy's
  std::vector<HttpHeader> headers;
  std::string body;
  std::shared_ptr<void> body_memory;  // what it takes of the memory for bodies; null: nothing

  // Set by HttpHandler::admit.
  std::shared_ptr<const Identity> client;  // may be null
  std::string route;                       // for logs and counts: "/v1/models/{name}"
  std::vector<HttpHeader> answer_headers;  // of whatever answer it gets

  std::string_view path() const;  // target without the query
  // The first header of that name, in any case; empty when there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::vector<HttpHeader> headers;  // content-length, connection, date and x-request-id are added
  std::string body;
};

// The answer to one request. post() may be called from any thread, everything else on the I/O
// thread only. Calls after the client has gone, or after the answer is complete, do nothing.
class Reply {
 public:
  virtual ~Reply() = default;

  // The whole answer.
  virtual void send(HttpResponse response) = 0;

  // An answer in pieces: head, any number of writes, end. `keep_alive` is written whenever nothing
  // else was for a while (HttpOptions::ping_interval). end(true) closes the connection as well.
  // Without a head, write() and end() do nothing; after it, send() does not. The socket gets its
  // turn between tasks: who has much to write should not do it in one.
  virtual void begin_stream(HttpResponse head, std::string keep_alive) = 0;
  virtual void write(std::string_view chunk) = 0;
  virtual void end(bool close) = 0;

  // Called once, on the I/O thread, when the answer is no longer wanted: the client has gone or
  // reads too slowly (is_open() is then false), or the server shuts down (an answer can still be
  // sent).
  virtual void on_abort(std::function<void()> callback) = 0;
  virtual bool is_open() const = 0;

  // The handler has read the request's body, and nobody will again: its memory is for others.
  virtual void release_body() = 0;

  // A number for the access log, such as a count of tokens.
  virtual void note(std::string name, int64_t value) = 0;

  // Runs the task on the I/O thread, or drops it when the server is gone.
  virtual void post(std::function<void()> task) = 0;
  // The same after a while. A server that drains does not wait for it.
  virtual void post_after(std::chrono::milliseconds delay, std::function<void()> task) = 0;
};

// How a request ended.
struct HttpOutcome {
  int status = 0;      // 499: the client left, or read too slowly
  double seconds = 0;  // from its first byte to the last one of the answer
  int64_t bytes = 0;   // of the answer that were written, its head included
  std::vector<std::pair<std::string, int64_t>> notes;
};

// What a server does with requests. All are called on the I/O thread and must not block; all but
// `answer` may be empty. Exceptions of admit and answer become answers: an ApiError its own, others
// a 500.
struct HttpHandler {
  std::function<void(std::shared_ptr<const HttpRequest>, std::shared_ptr<Reply>)> answer;
  // May refuse a request, by an exception, whose body has not been read yet.
  std::function<void(HttpRequest&)> admit = {};
  // Whether a request needs no key. It is answered even while the server drains, when others get
  // 503, and may have no body: nobody in particular would be answerable for the memory that takes.
  std::function<bool(const HttpRequest&)> is_open = {};
  // Whether a request asks how the server is. It is answered even where all connections are taken.
  std::function<bool(const HttpRequest&)> is_probe = {};
  // Called once for each request that was read as far as its head.
  std::function<void(const HttpRequest&, const HttpOutcome&)> on_end = {};
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;  // 0: any free one
  size_t header_limit = 32 << 10;
  size_t body_limit = 16 << 20;
  size_t stream_buffer_limit = 2 << 20;  // unsent bytes of a stream that may still be written to
  int64_t max_connections = 1024;
  // From one address, an IPv6 network of 64 bits counting as one. None: half of all, but any number
  // from this machine; 0: any number.
  std::optional<int64_t> max_connections_per_peer = {};
  size_t body_memory = 0;  // for all bodies that arrive or are not read yet; 0: of 16 largest ones
  bool keep_bodies = false;  // until on_end, whatever Reply::release_body() says
  std::chrono::milliseconds idle_timeout{120'000};  // between requests of a connection
  std::chrono::milliseconds request_timeout{
      60'000};                                      // from the first byte to the last of a request
  std::chrono::milliseconds write_timeout{30'000};  // without any progress
  std::chrono::milliseconds ping_interval{15'000};
  std::chrono::milliseconds shutdown_delay{0};  // from SIGTERM to the drain
  std::chrono::milliseconds shutdown_timeout{30'000};
  TlsFiles tls = {};  // none: plain HTTP
  bool handle_signals =
      true;  // SIGTERM and SIGINT end the delay, then drain, the next one ends at once
};

// One listening socket and one thread, the one that calls run().
class HttpServer {
 public:
  HttpServer(HttpOptions options, HttpHandler handler);
  ~HttpServer();

  // Listens. Returns the port. Throws Error that names the address and what to do.
  uint16_t bind();

  // The same on a port that was taken before; options' host and port are not looked at.
  uint16_t listen(BoundPort& port);

  // Serves until stop() or a signal and until the last connection is closed.
  void run();

  // From any thread. With drain, answers in progress get up to shutdown_timeout, while new requests
  // get 503; without, they end now.
  void stop(bool drain);

  bool is_draining() const;  // on the I/O thread
  // The server will drain soon, or does: who asks whether it takes requests should go elsewhere.
  bool is_leaving() const;  // on the I/O thread

  // Runs the task on the I/O thread, or drops it when the server is gone. From any thread.
  void post(std::function<void()> task);

  HttpSample sample() const;  // from any thread

  // Calls the task about once per second while run() runs. To be set before.
  void each_second(std::function<void()> task);

  // The same when a SIGHUP asks for files to be read again, and when is_leaving() becomes true.
  void on_hangup(std::function<void()> task);
  void on_leaving(std::function<void()> task);

  // Reads the files of TLS again, on any thread. Returns what puts them in use for new connections,
  // on the I/O thread. Throws Error that names the file at fault.
  std::function<void()> read_certificate() const;

  // When the first certificate of the chain expires, in seconds since 1970; none: plain HTTP. From
  // any thread.
  std::optional<int64_t> certificate_expiry() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dbrx
