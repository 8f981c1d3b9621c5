// Writes lines to a file descriptor that may be a pipe which nobody reads: who logs never waits for
// its reader, and never dies of one that has gone. Lines lie in a bounded queue until a thread has
// written them; what finds no room is dropped and counted.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace dbrx {

class LogWriter {
 public:
  // fd is not owned. room: bytes of lines that wait.
  explicit LogWriter(int fd, size_t room = size_t{8} << 20);
  // What still waits is written as far as the reader takes it within a second.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // False: the line is dropped. Any thread. Does not wait, does not throw.
  bool push(std::string_view line) noexcept;

  int64_t n_dropped() const { return n_dropped_; }

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  bool write_line(std::string_view line);  // false: the reader has gone or has had its time

  int fd_;
  size_t room_;
  std::atomic<int64_t> n_dropped_{0};
  std::mutex mutex_;  // guards what is below
  std::condition_variable wake_;
  std::deque<std::string> lines_;
  size_t n_bytes_ = 0;  // of lines_
  std::atomic<bool> ending_{false};
  Clock::time_point end_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace dbrx
