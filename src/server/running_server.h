// For tests: HTTP alone, with handlers of the test's own instead of an engine.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/http.h"
#include "server/test_client.h"

namespace dbrx {

using RequestPtr = std::shared_ptr<const HttpRequest>;
using ReplyPtr = std::shared_ptr<Reply>;
using Answer = std::function<void(RequestPtr, ReplyPtr)>;

inline HttpOptions quick_options() {
  HttpOptions options;
  options.port = 0;
  options.handle_signals = false;
  options.body_limit = 1000;
  options.header_limit = 8000;
  return options;
}

// A server that runs until the end of the test.
class RunningServer {
 public:
  explicit RunningServer(HttpHandler handler, HttpOptions options = quick_options())
      : server_(std::move(options), std::move(handler)), port_(server_.bind()), thread_([this] {
          server_.run();
          returned_.set_value();
        }) {}
  explicit RunningServer(Answer answer, HttpOptions options = quick_options())
      : RunningServer(HttpHandler{.answer = std::move(answer)}, std::move(options)) {}
  ~RunningServer() {
    server_.stop(false);
    thread_.join();
  }

  uint16_t port() const { return port_; }
  HttpSample sample() const { return server_.sample(); }
  void stop(bool drain) { server_.stop(drain); }
  bool returns() { return future_.wait_for(kPatience) == std::future_status::ready; }
  bool has_returned() {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

 private:
  std::promise<void> returned_;
  std::future<void> future_ = returned_.get_future();
  HttpServer server_;
  uint16_t port_;
  std::thread thread_;
};

inline HttpResponse text_response(std::string text) {
  HttpResponse response;
  response.headers = {{"Content-Type", "text/plain"}};
  response.body = std::move(text);
  return response;
}

inline void echo(RequestPtr request, ReplyPtr reply) {
  reply->send(text_response(request->method + " " + request->target + " " + request->body));
}

// Answers "done" when told to.
struct Held {
  std::mutex mutex;
  std::vector<ReplyPtr> replies;

  Answer handler() {
    return [this](RequestPtr, ReplyPtr reply) {
      reply->begin_stream(text_response(""), "");
      reply->write("begin ");
      reply->post_after(std::chrono::hours(1), [] {});  // holds up no end
      reply->on_abort([weak = std::weak_ptr(reply)] {   // it keeps what it calls
        const ReplyPtr aborted = weak.lock();
        aborted->write("aborted");
        aborted->end(true);
      });
      std::lock_guard lock(mutex);
      replies.push_back(reply);
    };
  }
  bool has(size_t n) {
    std::lock_guard lock(mutex);
    return replies.size() == n;
  }
  void release() {
    std::lock_guard lock(mutex);
    for (ReplyPtr& reply : replies) {
      reply->post([reply] {
        reply->write("done");
        reply->end(false);
      });
    }
    replies.clear();
  }
};

}  // namespace dbrx
