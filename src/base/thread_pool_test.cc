#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace dbrx {
namespace {

TEST(ThreadPool, EveryTaskRunsExactlyOnceForAnyNumberOfThreadsAndTasks) {
  for (const int n_threads : {1, 2, 3, 5}) {
    ThreadPool pool(n_threads);
    for (const size_t n_tasks : {0, 1, 2, 3, 64, 1000}) {
      std::vector<std::atomic<int>> runs(n_tasks);
      pool.run(n_tasks, [&](size_t i) { runs[i].fetch_add(1); });
      EXPECT_TRUE(std::all_of(runs.begin(), runs.end(), [](const auto& n) { return n == 1; }));
    }
  }
}

TEST(ThreadPool, ARunSeesWhatTheRunBeforeWrote) {
  ThreadPool pool(3);
  std::vector<int> values(100, 0);
  for (int round = 1; round <= 500; ++round) {
    pool.run(values.size(), [&](size_t i) { ++values[(i + 7) % values.size()]; });
  }
  EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](int value) { return value == 500; }));
}

TEST(ThreadPool, WorkersFlushDenormals) {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  flush_denormals();
  std::atomic<int> arrived{0};
  std::atomic<int> flushed{0};
  // Nobody leaves before all have come, so each thread has one task.
  pool.run(kThreads, [&](size_t) {
    ++arrived;
    while (arrived < kThreads) std::this_thread::yield();
    flushed += (_mm_getcsr() & 0x8040) == 0x8040;
  });
  EXPECT_EQ(flushed, kThreads);
}

}  // namespace
}  // namespace dbrx
