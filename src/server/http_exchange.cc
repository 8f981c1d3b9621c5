#include "server/http_exchange.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace dbrx {

void IoGate::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (io_) boost::asio::post(*io_, std::move(task));
}

void IoGate::post_after(std::chrono::milliseconds delay, std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (!io_) return;
  auto timer = std::make_shared<boost::asio::steady_timer>(*io_, delay);
  timer->async_wait([timer, task = std::move(task)](const boost::system::error_code& ec) {
    if (!ec) task();
  });
}

void IoGate::close() {
  std::lock_guard lock(mutex_);
  io_ = nullptr;
}

void Exchange::send(HttpResponse response) {
  if (gone_ || phase_ != Phase::waiting) return;
  HeadStyle style{.close = !keep_alive(), .request_id = setup_.request_id};
  if (response.status == 204 || response.status == 304) style.body = BodyKind::none;
  status_ = response.status;
  append_headers(response);
  unsent_ = render_head(response, style);
  if (!setup_.head_only && style.body != BodyKind::none) unsent_.append(response.body);
  phase_ = Phase::complete;
  wake();
}

void Exchange::begin_stream(HttpResponse head, std::string keep_alive_text) {
  if (gone_ || phase_ != Phase::waiting) return;
  chunked_ = !setup_.http_1_0;
  status_ = head.status;
  append_headers(head);
  keep_alive_text_ = std::move(keep_alive_text);
  unsent_ = render_head(head, {.body = chunked_ ? BodyKind::chunked : BodyKind::until_close,
                               .close = !keep_alive(),
                               .request_id = setup_.request_id});
  phase_ = Phase::streaming;
  wake();
}

void Exchange::write(std::string_view chunk) {
  if (gone_ || phase_ != Phase::streaming || setup_.head_only) return;
  append(chunk);
  wake();
  if (unsent_.size() > setup_.buffer_limit) look_later();
}

// Whether the client keeps up shows when the socket has had its turn: one task may write much.
void Exchange::look_later() {
  if (std::exchange(will_look_, true)) return;
  setup_.gate->post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->will_look_ = false;
    if (self->unsent_.size() > self->setup_.buffer_limit) self->client_gone();
  });
}

void Exchange::end(bool close) {
  if (gone_ || phase_ != Phase::streaming) return;
  if (close) setup_.keep_alive = false;
  if (chunked_ && !setup_.head_only) unsent_.append("0\r\n\r\n");
  phase_ = Phase::complete;
  wake();
}

void Exchange::on_abort(std::function<void()> callback) {
  if (aborted_) {
    callback();
  } else {
    on_abort_ = std::move(callback);
  }
}

void Exchange::release_body() {
  const auto request = setup_.request.lock();
  if (!request) return;
  std::string().swap(request->body);
  request->body_memory.reset();
}

void Exchange::client_gone() {
  if (gone_) return;
  gone_ = true;
  unsent_.clear();
  unsent_.shrink_to_fit();
  abort();
}

void Exchange::ask_to_finish() {
  setup_.keep_alive = false;
  if (phase_ != Phase::complete) abort();
}

void Exchange::ping() {
  if (!gone_ && phase_ == Phase::streaming && !setup_.head_only) append(keep_alive_text_);
}

std::string Exchange::take_unsent() { return std::exchange(unsent_, {}); }

void Exchange::append_headers(HttpResponse& response) const {
  response.headers.insert(response.headers.end(), setup_.headers.begin(), setup_.headers.end());
}

void Exchange::append(std::string_view data) {
  if (chunked_) {
    append_chunk(unsent_, data);
  } else {
    unsent_.append(data);
  }
}

void Exchange::wake() {
  if (wake_) wake_();
}

void Exchange::abort() {
  if (std::exchange(aborted_, true)) return;
  auto callback = std::exchange(on_abort_, {});
  if (callback) callback();
  wake();
}

}  // namespace dbrx
