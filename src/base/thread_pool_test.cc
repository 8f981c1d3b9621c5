#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
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

TEST(ThreadPool, ATeamOfTwoNodesRunsEveryTaskOnceToo) {
  ThreadPlan plan = ThreadPlan::unbound(5);
  plan.nodes = {0, 1};
  for (size_t w = 3; w < 5; ++w) plan.workers[w].node = 1;
  ThreadPool pool(plan);
  for (size_t n_tasks = 1; n_tasks < 30; ++n_tasks) {
    std::vector<std::atomic<int>> seen(n_tasks);
    pool.run(n_tasks, [&](size_t i) { ++seen[i]; });
    for (const std::atomic<int>& n : seen) EXPECT_EQ(n, 1);
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
  pool.enter();
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

TEST(ThreadPool, AWorkerHasTheSameRangeInEveryRun) {
  constexpr size_t kThreads = 3;
  ThreadPool pool(kThreads);
  std::vector<std::thread::id> first(kThreads);
  std::vector<std::thread::id> again(kThreads);
  for (std::vector<std::thread::id>* seen : {&first, &again}) {
    std::atomic<size_t> arrived{0};
    pool.run(kThreads, [&](size_t i) {
      (*seen)[i] = std::this_thread::get_id();
      // Nobody has time to help before all have come.
      ++arrived;
      while (arrived < kThreads) std::this_thread::yield();
    });
  }
  EXPECT_EQ(first[0], std::this_thread::get_id());
  EXPECT_NE(first[1], first[2]);
  EXPECT_EQ(first, again);
}

TEST(ThreadPool, WhoIsDoneHelpsAWorkerThatIsHeldUp) {
  for (const size_t held_up : {0U, 1U}) {
    ThreadPool pool(2);
    constexpr size_t kTasks = 10;
    std::atomic<size_t> n_done{0};
    pool.run(kTasks, [&](size_t i) {
      // The first task of a range waits for all other tasks, those of its own range too.
      if (i == held_up * kTasks / 2) {
        while (n_done < kTasks - 1) std::this_thread::yield();
      }
      ++n_done;
    });
    EXPECT_EQ(n_done, kTasks);
  }
}

TEST(ThreadPool, WhatATaskThrowsIsThrownWhenNoTaskRunsAnyMore) {
  for (const int n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::atomic<int>> seen(50);
      EXPECT_THROW(pool.run(seen.size(),
                            [&](size_t i) {
                              ++seen[i];
                              if (i % 7 == 3) throw std::bad_alloc();
                            }),
                   std::bad_alloc);
      for (const std::atomic<int>& n : seen) EXPECT_EQ(n, 1);
    }
    int n_done = 0;
    pool.run(1, [&](size_t) { ++n_done; });
    EXPECT_EQ(n_done, 1);
  }
}

TEST(ThreadPool, WorkersThatFellAsleepComeBack) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> arrived{0};
    pool.run(3, [&](size_t) {
      ++arrived;
      while (arrived < 3) std::this_thread::yield();
    });
  }
}

}  // namespace
}  // namespace dbrx
