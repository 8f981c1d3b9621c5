#include "server/log_writer.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

namespace dbrx {
namespace {

constexpr std::chrono::seconds kEndTime{1};
constexpr int kPollMs = 100;  // so soon the end is noticed

// Of a closed pipe a write shall tell by its result. Signals of the process are others' business.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

LogWriter::LogWriter(int fd, size_t room) : fd_(fd), room_(room), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    const std::lock_guard lock(mutex_);
    end_ = Clock::now() + kEndTime;
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool LogWriter::push(std::string_view line) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (n_bytes_ + line.size() > room_) {
      ++n_dropped_;
      return false;
    }
    lines_.emplace_back(line);
    n_bytes_ += line.size();
    wake_.notify_one();
    return true;
  } catch (const std::exception&) {  // no memory
    ++n_dropped_;
    return false;
  }
}

void LogWriter::run() {
  block_signals();
  pthread_setname_np(pthread_self(), "log");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || !lines_.empty(); });
    if (lines_.empty()) return;
    const std::string line = std::move(lines_.front());
    lines_.pop_front();
    n_bytes_ -= line.size();
    lock.unlock();
    if (!write_line(line)) ++n_dropped_;
    lock.lock();
  }
}

// A pipe that poll calls writable takes this much without a wait.
bool LogWriter::write_line(std::string_view line) {
  while (!line.empty()) {
    if (ending_ && Clock::now() > end_) return false;
    pollfd place = {.fd = fd_, .events = POLLOUT, .revents = 0};
    if (poll(&place, 1, kPollMs) <= 0) continue;
    const ssize_t n = write(fd_, line.data(), std::min<size_t>(line.size(), PIPE_BUF));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return false;
    line.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace dbrx
