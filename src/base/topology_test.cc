#include "base/topology.h"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include "base/forbid_policies.h"
#include "base/memory.h"
#include "base/thread_pool.h"

namespace dbrx {
namespace {

// The machine that HWLOC_SYNTHETIC describes.
Topology synthetic(const char* description) {
  setenv("HWLOC_SYNTHETIC", description, 1);
  Topology topology = find_topology();
  unsetenv("HWLOC_SYNTHETIC");
  return topology;
}

std::vector<int> pus(const ThreadPlan& plan) {
  std::vector<int> out;
  for (const WorkerPlace& worker : plan.workers) out.push_back(worker.pu);
  return out;
}

using Numbers = std::vector<int>;

TEST(Topology, ThisMachineHasWhatTheProcessMayUse) {
  const Topology topology = find_topology();
  EXPECT_EQ(static_cast<int>(topology.threads.size()), available_cpus());
  EXPECT_LE(topology.n_cores(), available_cpus());
  EXPECT_LE(1, topology.n_nodes());
}

TEST(Topology, ADescribedMachineIsReadAndNeverBound) {
  const Topology topology = synthetic("node:2 core:4 pu:2");
  EXPECT_FALSE(topology.is_this_machine);
  EXPECT_EQ(topology.n_nodes(), 2);
  EXPECT_EQ(topology.n_cores(), 8);
  EXPECT_EQ(topology.threads.size(), 16U);
  EXPECT_FALSE(plan_threads(topology, 0, Pin::cores).binds);
}

TEST(ThreadPlan, TheDefaultIsOneThreadForEachCoreNodeByNode) {
  const ThreadPlan plan = plan_threads(synthetic("node:2 core:4 pu:2"), 0, Pin::automatic);
  EXPECT_EQ(pus(plan), (Numbers{0, 2, 4, 6, 8, 10, 12, 14}));
  EXPECT_EQ(plan.nodes, (Numbers{0, 1}));
  for (size_t w = 0; w < 8; ++w) EXPECT_EQ(plan.workers[w].node, w < 4 ? 0 : 1);
  EXPECT_EQ(describe(plan), "8 threads, to be pinned to node 0: 0 2 4 6, node 1: 8 10 12 14");
}

TEST(ThreadPlan, ASmallMachineUsesAllItsHardwareThreads) {
  EXPECT_EQ(plan_threads(synthetic("node:1 core:1 pu:2"), 0, Pin::automatic).n_threads(), 2);
  EXPECT_EQ(plan_threads(synthetic("node:1 core:2 pu:2"), 0, Pin::automatic).n_threads(), 4);
  EXPECT_EQ(plan_threads(synthetic("node:1 core:3 pu:2"), 0, Pin::automatic).n_threads(), 3);
}

TEST(ThreadPlan, AQuotaOfTheControlGroupLowersTheDefault) {
  Topology topology = synthetic("node:1 core:8 pu:2");
  topology.cpu_quota = 2.5;
  EXPECT_EQ(plan_threads(topology, 0, Pin::none).n_threads(), 3);
  topology.cpu_quota = 100;
  EXPECT_EQ(plan_threads(topology, 0, Pin::none).n_threads(), 8);
  topology.cpu_quota = 0.1;
  EXPECT_EQ(plan_threads(topology, 0, Pin::none).n_threads(), 1);
}

TEST(ThreadPlan, OneNodeIsPinnedOnlyWhenTold) {
  const Topology topology = synthetic("node:1 core:2 pu:1");
  EXPECT_EQ(pus(plan_threads(topology, 0, Pin::automatic)), (Numbers{-1, -1}));
  EXPECT_EQ(pus(plan_threads(topology, 0, Pin::cores)), (Numbers{0, 1}));
  EXPECT_EQ(pus(plan_threads(synthetic("node:2 core:1 pu:1"), 0, Pin::none)), (Numbers{-1, -1}));
  EXPECT_EQ(describe(plan_threads(topology, 1, Pin::none)), "1 thread, not pinned");
}

TEST(ThreadPlan, FewThreadsUseAllNodesAndManyUseSecondHardwareThreadsLast) {
  const Topology topology = synthetic("node:2 core:2 pu:2");  // node 0: 0-3, cores of two
  EXPECT_EQ(pus(plan_threads(topology, 2, Pin::cores)), (Numbers{0, 4}));
  EXPECT_EQ(pus(plan_threads(topology, 3, Pin::cores)), (Numbers{0, 2, 4}));
  EXPECT_EQ(pus(plan_threads(topology, 5, Pin::cores)), (Numbers{0, 2, 1, 4, 6}));
  EXPECT_EQ(pus(plan_threads(topology, 9, Pin::cores)), (Numbers{0, 2, 1, 3, 0, 4, 6, 5, 7}));
}

TEST(NodeRanges, TileTheMemoryInSharesOfTheWorkersCutAtPages) {
  constexpr size_t kFirst = 3 * kPage + 64;
  for (const char* machine : {"node:1 core:3 pu:1", "node:2 core:4 pu:2", "node:4 core:3 pu:1"}) {
    const Topology topology = synthetic(machine);
    for (const int n_threads : {0, 1, 3, 5}) {
      const ThreadPlan plan = plan_threads(topology, n_threads, Pin::cores);
      for (const size_t n_bytes : {size_t{0}, size_t{1}, kPage, 1000 * kPage + 1}) {
        size_t end = 0;
        for (const NodeRange& range : node_ranges(plan, kFirst, n_bytes, kPage)) {
          EXPECT_EQ(range.begin, end);
          EXPECT_LT(range.begin, range.end);
          if (range.end < n_bytes) {
            EXPECT_EQ((kFirst + range.end) % kPage, 0U);
          }
          end = range.end;
        }
        EXPECT_EQ(end, n_bytes);
      }
    }
  }
}

TEST(NodeRanges, AWorkersShareLiesOnItsNodeUpToAPage) {
  const ThreadPlan plan = plan_threads(synthetic("node:3 core:5 pu:1"), 7, Pin::cores);
  constexpr size_t kBytes = 12345 * kPage + 678;
  const std::vector<NodeRange> ranges = node_ranges(plan, 0, kBytes, kPage);
  ASSERT_EQ(ranges.size(), 3U);
  size_t w = 0;
  for (const NodeRange& range : ranges) {
    const size_t first = w;
    while (w < 7 && plan.workers[w].node == range.node) ++w;
    EXPECT_NEAR(static_cast<double>(range.begin), kBytes / 7.0 * static_cast<double>(first), kPage);
    EXPECT_NEAR(static_cast<double>(range.end), kBytes / 7.0 * static_cast<double>(w), kPage);
  }
  EXPECT_EQ(w, 7U);
}

// The policy of the page at an address; -1 where such questions are forbidden (containers).
int memory_policy(const std::byte* address) {
  int policy = -1;
  syscall(SYS_get_mempolicy, &policy, nullptr, 0, address, MPOL_F_ADDR);
  return policy;
}

// Binding must work where there is one node too, and change nothing but where threads run.
TEST(ThreadPlan, APinnedTeamComputesAndItsMemoryIsPlaced) {
  ThreadPlan plan = plan_threads(find_topology(), 2, Pin::cores);
  EXPECT_TRUE(plan.binds);
  plan.nodes.push_back(plan.nodes.back());  // as if there were two nodes: the calls are made
  std::vector<int> values(100, 0);
  std::thread caller([&] {  // has its affinity changed
    interleave_memory(plan);
    Block block(3 * kHugePage);
    place_on_nodes({block.data(), block.size()}, plan);
    block.data()[kHugePage] = std::byte{1};
    const int policy = memory_policy(block.data() + kHugePage);
    EXPECT_TRUE(policy == MPOL_PREFERRED || policy == -1) << policy;
    ThreadPool pool(plan);
    pool.enter();
    EXPECT_EQ(available_cpus(), 1);
    pool.run(values.size(), [&](size_t i) { ++values[i]; });
  });
  caller.join();
  EXPECT_EQ(values, std::vector<int>(100, 1));
}

TEST(ThreadPlan, WhereMemoryMayNotBePlacedThatIsSaid) {
  ThreadPlan plan = plan_threads(find_topology(), 2, Pin::cores);
  plan.nodes.push_back(plan.nodes.back());  // as if there were two
  std::thread caller([&] {
    Block block(3 * kHugePage);
    forbid_memory_policies();
    EXPECT_FALSE(interleave_memory(plan));
    EXPECT_FALSE(place_on_nodes({block.data(), block.size()}, plan));
    run_on_node(plan, plan.nodes.front());
    std::set<int> pus;
    for (const WorkerPlace& worker : plan.workers) pus.insert(worker.pu);
    EXPECT_EQ(available_cpus(), static_cast<int>(pus.size()));
  });
  caller.join();
}

}  // namespace
}  // namespace dbrx
