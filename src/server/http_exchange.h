// One request and its answer, as the connection and the handler share it: the connection drains the
// unsent bytes, the handler adds to them. Holds no socket and no timer, so it may outlive both.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/http.h"
#include "server/http_text.h"

namespace dbrx {

// The way from other threads into the I/O thread, which may be gone by then.
class IoGate {
 public:
  explicit IoGate(boost::asio::io_context& io) : io_(&io) {}
  void post(std::function<void()> task);
  void post_after(std::chrono::milliseconds delay, std::function<void()> task);
  void close();  // posts are dropped from here on

 private:
  std::mutex mutex_;
  boost::asio::io_context* io_;
};

class Exchange : public Reply, public std::enable_shared_from_this<Exchange> {
 public:
  struct Setup {
    std::shared_ptr<IoGate> gate;
    std::string request_id;
    std::vector<HttpHeader> headers = {};     // of whatever answer comes
    bool head_only = false;                   // the request was HEAD
    bool http_1_0 = false;                    // no chunks, and the connection ends with the answer
    bool keep_alive = true;                   // as far as the client is concerned
    size_t buffer_limit = 0;                  // unsent bytes of a stream, between tasks
    std::weak_ptr<HttpRequest> request = {};  // whose body can be released
  };
  explicit Exchange(Setup setup) : setup_(std::move(setup)) {}

  void send(HttpResponse response) override;
  void begin_stream(HttpResponse head, std::string keep_alive) override;
  void write(std::string_view chunk) override;
  void end(bool close) override;
  void on_abort(std::function<void()> callback) override;
  void release_body() override;
  bool is_open() const override { return !gone_ && phase_ != Phase::complete; }
  void note(std::string name, int64_t value) override {
    notes_.emplace_back(std::move(name), value);
  }
  void post(std::function<void()> task) override { setup_.gate->post(std::move(task)); }
  void post_after(std::chrono::milliseconds delay, std::function<void()> task) override {
    setup_.gate->post_after(delay, std::move(task));
  }

  // The connection's side, on the I/O thread.

  // Called whenever there is something new for take_unsent() or is_complete().
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }
  // No answer can be sent any more; tells the handler.
  void client_gone();
  // The server shuts down; tells the handler, which may still answer.
  void ask_to_finish();
  // The next head sent says that the connection will close.
  void close_after() { setup_.keep_alive = false; }
  // Adds the keep-alive text of an open stream.
  void ping();

  std::string take_unsent();
  bool has_unsent() const { return !unsent_.empty(); }
  bool is_complete() const { return phase_ == Phase::complete; }
  bool is_streaming() const { return phase_ == Phase::streaming; }
  bool is_gone() const { return gone_; }
  bool keep_alive() const { return setup_.keep_alive && !setup_.http_1_0; }
  int status() const { return status_; }  // 0: none was sent
  std::vector<std::pair<std::string, int64_t>> take_notes() { return std::move(notes_); }
  // Of whatever answer comes; before there is one.
  void set_headers(const std::vector<HttpHeader>& headers) { setup_.headers = headers; }

 private:
  enum class Phase { waiting, streaming, complete };

  void append(std::string_view data);
  void append_headers(HttpResponse& response) const;
  void look_later();
  void wake();
  void abort();

  Setup setup_;
  Phase phase_ = Phase::waiting;
  bool gone_ = false;
  bool aborted_ = false;
  bool chunked_ = false;
  bool will_look_ = false;
  int status_ = 0;
  std::string unsent_;
  std::string keep_alive_text_;
  std::vector<std::pair<std::string, int64_t>> notes_;
  std::function<void()> wake_;
  std::function<void()> on_abort_;
};

}  // namespace dbrx
