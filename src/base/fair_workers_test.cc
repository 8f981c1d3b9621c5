#include "base/fair_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace dbrx {
namespace {

using namespace std::chrono_literals;

TEST(FairWorkers, TasksStartInOrderAndAllRunBeforeTheEnd) {
  std::vector<int> order;
  {
    FairWorkers workers("test", 1);
    for (int i = 0; i < 100; ++i) workers.post(0, [&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(FairWorkers, ClientsTakeTurns) {
  std::string order;
  std::latch all_wait(1);
  {
    FairWorkers workers("test", 1);
    workers.post(1, [&] { all_wait.wait(); });
    for (const char client : std::string("aaaaabbc")) {
      workers.post(static_cast<uint64_t>(client), [&order, client] { order += client; });
    }
    EXPECT_GE(workers.n_waiting(), 8);  // and the first, if it has not begun
    all_wait.count_down();
  }
  EXPECT_EQ(order, "abcabaaa");
}

TEST(FairWorkers, NoMoreTasksRunAtATimeThanThereAreThreads) {
  std::atomic<int> n_running = 0, most = 0;
  {
    FairWorkers workers("test", 2);
    for (int i = 0; i < 20; ++i) {
      workers.post(0, [&] {
        const int n = ++n_running;
        if (n > most) most = n;
        std::this_thread::sleep_for(2ms);
        --n_running;
      });
    }
  }
  EXPECT_EQ(most, 2);
}

// However many tasks one has, and however long they take.
TEST(FairWorkers, AThreadIsLeftForTheOthers) {
  std::latch end(1);
  std::atomic<int> n_started = 0;
  {
    FairWorkers workers("test", 2, /*n_per_client=*/1);
    for (int i = 0; i < 5; ++i) {
      workers.post(1, [&] {
        ++n_started;
        end.wait();
      });
    }
    for (const uint64_t client : {2, 2, 3}) {
      std::promise<void> other;
      workers.post(client, [&] { other.set_value(); });
      other.get_future().wait();
    }
    EXPECT_EQ(n_started, 1);
    end.count_down();
  }
  EXPECT_EQ(n_started, 5);
}

TEST(FairWorkers, NobodyInParticularMayHaveAllThreads) {
  std::latch both_run(2);
  FairWorkers workers("test", 2, /*n_per_client=*/1);
  for (int i = 0; i < 2; ++i) workers.post(0, [&] { both_run.arrive_and_wait(); });
}

TEST(FairWorkers, WhatIsPostedAfterTheEndIsDropped) {
  FairWorkers workers("test", 1);
  workers.end();
  const auto task = std::make_shared<int>(1);
  workers.post(0, [task] { FAIL(); });
  EXPECT_EQ(task.use_count(), 1);
}

}  // namespace
}  // namespace dbrx
