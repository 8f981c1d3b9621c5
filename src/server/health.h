// Whether the server can answer: a process that listens is not yet one that does. Any thread may
// report a fault; everything else is the I/O thread's.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "engine/engine.h"

namespace dbrx {

class Health {
 public:
  using Clock = std::chrono::steady_clock;

  // A step may take at most `stall_timeout`, and so may the time between two while there is work.
  Health(const Engine& engine, Clock::duration stall_timeout)
      : engine_(engine), stall_timeout_(stall_timeout) {}

  // To be called often: what happens between two looks counts from the second. Weights that can't
  // be read any more are a fault.
  void look();

  // Answers can't be trusted from here on. The reason is for clients with a key.
  void report_fault(const std::string& reason);
  // Throws ApiError(503) after a fault.
  void refuse_if_at_fault() const;

  enum class State { ok, stalled, fault };
  State state();

 private:
  const Engine& engine_;
  const Clock::duration stall_timeout_;
  bool misses_weights_ = false;
  bool was_idle_ = true;
  int64_t steps_ = 0;
  Clock::time_point progress_at_ = Clock::now();
  mutable std::mutex mutex_;
  std::string fault_;  // empty: none
};

}  // namespace dbrx
