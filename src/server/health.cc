#include "server/health.h"

#include <spdlog/spdlog.h>

#include "base/read_fault.h"
#include "server/api_error.h"

namespace dbrx {

void Health::look() {
  const std::string unreadable = first_read_fault();
  if (!unreadable.empty() && !misses_weights_) {
    misses_weights_ = true;
    report_fault("the weights are gone: " + unreadable);
    spdlog::error("the weights are gone: {}", unreadable);
  }
  const EngineStats stats = engine_.stats();
  const bool idle = stats.running == 0 && stats.waiting == 0;
  if (idle || was_idle_ || stats.steps != steps_) progress_at_ = Clock::now();
  was_idle_ = idle;
  steps_ = stats.steps;
}

void Health::report_fault(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  fault_ = reason;
}

void Health::refuse_if_at_fault() const {
  const std::lock_guard lock(mutex_);
  if (!fault_.empty()) throw ApiError(503, fault_, "", "fault");
}

Health::State Health::state() {
  look();
  {
    const std::lock_guard lock(mutex_);
    if (!fault_.empty()) return State::fault;
  }
  const EngineStats::Time began = engine_.stats().step_began_at;
  const bool hangs = began != EngineStats::Time() && Clock::now() - began > stall_timeout_;
  return hangs || Clock::now() - progress_at_ > stall_timeout_ ? State::stalled : State::ok;
}

}  // namespace dbrx
