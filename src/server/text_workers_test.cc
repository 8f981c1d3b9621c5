#include "server/text_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace dbrx {
namespace {

using namespace std::chrono_literals;

TEST(TextWorkers, TasksStartInOrderAndAllRunBeforeTheEnd) {
  std::vector<int> order;
  {
    TextWorkers workers(1);
    for (int i = 0; i < 100; ++i) workers.post(0, [&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(TextWorkers, ClientsTakeTurns) {
  std::string order;
  std::latch all_wait(1);
  {
    TextWorkers workers(1);
    workers.post(1, [&] { all_wait.wait(); });
    for (const char client : std::string("aaaaabbc")) {
      workers.post(static_cast<uint64_t>(client), [&order, client] { order += client; });
    }
    all_wait.count_down();
  }
  EXPECT_EQ(order, "abcabaaa");
}

TEST(TextWorkers, OneClientLeavesAThreadToOthers) {
  std::latch end(1);
  std::atomic<int> n_running = 0;
  {
    TextWorkers workers(3);
    for (int i = 0; i < 4; ++i) {
      workers.post(7, [&] {
        ++n_running;
        end.wait();
      });
    }
    std::promise<void> other;
    workers.post(8, [&] { other.set_value(); });
    EXPECT_EQ(other.get_future().wait_for(60s), std::future_status::ready);
    EXPECT_LE(n_running, 2);
    end.count_down();
  }
  EXPECT_EQ(n_running, 4);
}

TEST(TextWorkers, NoMoreTasksRunAtATimeThanThereArePlaces) {
  std::atomic<int> n_running = 0, most = 0;
  std::latch go(1);
  {
    TextWorkers workers(2);
    for (int i = 0; i < 8; ++i) {  // so that there are more threads than places
      workers.post(0, [&] { workers.wait_aside([&] { go.wait(); }); });
    }
    for (int i = 0; i < 20; ++i) {
      workers.post(0, [&, i] {
        const int n = ++n_running;
        if (n > most) most = n;
        std::this_thread::sleep_for(2ms);
        --n_running;
        if (i == 19) go.count_down();
      });
    }
  }
  EXPECT_EQ(most, 2);
}

TEST(TextWorkers, TasksThatWaitAsideHoldUpNobodyUpToABound) {
  std::latch end(1);
  std::atomic<size_t> n_aside = 0, n_refused = 0;
  {
    TextWorkers workers(1);
    for (size_t i = 0; i < TextWorkers::kMaxAside + 3; ++i) {
      workers.post(0, [&] {
        const bool waited = workers.wait_aside([&] { end.wait(); });
        ++(waited ? n_aside : n_refused);
      });
    }
    std::promise<void> other;
    workers.post(0, [&] { other.set_value(); });
    EXPECT_EQ(other.get_future().wait_for(60s), std::future_status::ready);
    EXPECT_EQ(n_refused, 3u);
    EXPECT_EQ(n_aside, 0u);
    end.count_down();
  }
  EXPECT_EQ(n_aside, TextWorkers::kMaxAside);
}

TEST(TextWorkers, WhatIsThrownAsideIsTheTasks) {
  std::promise<bool> caught;
  TextWorkers workers(1);
  workers.post(0, [&] {
    try {
      workers.wait_aside([] { throw std::runtime_error("no"); });
      caught.set_value(false);
    } catch (const std::runtime_error&) {
      caught.set_value(true);
    }
  });
  EXPECT_TRUE(caught.get_future().get());
}

}  // namespace
}  // namespace dbrx
