// The time that this thread has run, which does not pass while others run in its place.
#pragma once

#include <ctime>

namespace dbrx {

inline double thread_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace dbrx
