// One client's socket: reads requests one after another, hands each to the handler, writes its
// answer. Runs on the I/O thread. Included by http*.cc only (Beast and Asio are slow to compile).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <string>
#include <unordered_set>

#include "server/body_budget.h"
#include "server/connection_places.h"
#include "server/http.h"
#include "server/http_exchange.h"
#include "server/tls_stream.h"

namespace dbrx {

class Connection;

constexpr size_t kConnectionReadBytes = 8 << 10;  // that one read of a socket asks for

// What all connections of a server share; outlives them.
struct ConnectionHub {
  ConnectionHub(HttpOptions options_in, HttpHandler handler_in);

  HttpOptions options;
  HttpHandler handler;
  ConnectionPlaces places;
  std::shared_ptr<BodyBudget> bodies;
  std::shared_ptr<boost::asio::ssl::context> tls;  // of new connections; null: plain HTTP
  std::shared_ptr<IoGate> gate;
  bool leaving = false;   // answers say that their connection ends
  bool draining = false;  // connections that begin now are only told so
  std::unordered_set<Connection*> open;
  std::function<void()> on_closed;  // after each that left `open`
};

// Ends the operations that wait on a socket when time is up. Asio has no such thing, and a stream
// that closes its socket instead could not answer 408.
class Deadline {
 public:
  explicit Deadline(boost::asio::ip::tcp::socket& socket)
      : socket_(socket), timer_(socket.get_executor()) {}

  void start(std::chrono::milliseconds after);
  void stop();
  bool expired() const { return expired_; }

 private:
  boost::asio::ip::tcp::socket& socket_;
  boost::asio::steady_timer timer_;
  // An expiry that is queued already can't be called back: it must find out that it no longer
  // counts, or that this object is gone.
  std::shared_ptr<uint64_t> generation_ = std::make_shared<uint64_t>(0);
  bool expired_ = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, ConnectionHub& hub,
             std::unique_ptr<ConnectionPlaces::Place> place);

  void start();

  // It began when the server drained already, and does not hold up its end.
  bool is_late() const { return is_late_; }
  // The server drains: without a request in progress the connection ends now, else after its
  // answer.
  void drain();
  // The server has drained long enough.
  void ask_to_finish();
  // Now.
  void kill();

 private:
  template <typename T = void>
  using Task = boost::asio::awaitable<T>;

  // How reading a request ended.
  enum class Read { request, refused, closed };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  Task<> serve();
  Task<> serve_requests();
  Task<Read> read_request();
  Task<bool> wait_for_request();
  bool has_begin_of_request();
  Task<Read> read_message();
  void take_head(const Parser& parser, bool is_whole);
  bool accepts_head(const Parser& parser, boost::system::error_code ec);
  Task<boost::system::error_code> read_body(Parser& parser);
  Task<bool> answer();  // whether the connection lives on
  Task<> write_answer();
  Task<bool> write_unsent();  // false: the client is gone
  Task<> wait_for_wake(bool streaming);
  Task<> watch();
  Task<> stop_watching();
  Task<> linger();
  void refuse(int status, const std::string& message, const std::string& code);
  bool is_admitted(bool has_body);
  bool is_open() const;
  bool is_probe() const;
  std::chrono::milliseconds patience(std::chrono::milliseconds usual) const;
  void begin_exchange(bool http_1_0, bool keep_alive);
  void call_handler();
  void answer_exception();
  void report_end();

  ConnectionHub& hub_;
  std::unique_ptr<ConnectionPlaces::Place> place_;
  const bool is_late_;
  const std::string peer_;  // address of the other end
  TlsStream stream_;
  Deadline deadline_;
  boost::asio::steady_timer wake_;  // stands in for a condition variable: cancelled to notify
  boost::asio::steady_timer nap_;   // of watch()
  boost::asio::steady_timer::time_point last_write_;
  boost::beast::flat_buffer buffer_;  // read, not yet parsed
  std::shared_ptr<HttpRequest> request_;
  std::shared_ptr<Exchange> exchange_;
  std::chrono::steady_clock::time_point started_;
  int64_t n_written_ = 0;                          // bytes of the answer
  const char* end_ = "its last answer was given";  // why the connection ends, for the log
  bool reading_ = true;                            // no answer is owed
  bool delivered_ = false;                         // all of an answer was written
  bool in_request_ = false;                        // a part of a request has been read
  bool watching_ = false;                          // watch() should go on
  bool watch_runs_ = false;
};

}  // namespace dbrx
