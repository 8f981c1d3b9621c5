#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "base/topology.h"

namespace dbrx {
namespace {

// As many as there are cores, within the quota. With so few hardware threads, all of them: a small
// virtual machine's cores say little about its host's, and two threads read memory faster than one.
int default_threads(const Topology& topology) {
  constexpr int kFew = 4;
  const auto n_threads = static_cast<int>(topology.threads.size());
  const int n = n_threads <= kFew ? n_threads : topology.n_cores();
  if (topology.cpu_quota <= 0) return n;
  return std::clamp(static_cast<int>(std::ceil(topology.cpu_quota)), 1, n);
}

// First hardware threads of all cores before second ones; among these the nodes in turn, so that a
// team smaller than the machine still reads every node's memory.
std::vector<HardwareThread> choose(const Topology& topology, int n_threads) {
  struct Candidate {
    int rank = 0;  // in its core
    int turn = 0;  // of its node, among those of the same rank
    HardwareThread thread;
  };
  std::map<int, int> n_of_core;
  std::map<std::pair<int, int>, int> n_of_rank;
  std::vector<Candidate> order;
  for (const HardwareThread& thread : topology.threads) {
    const int rank = n_of_core[thread.core]++;
    order.push_back({rank, n_of_rank[{thread.node, rank}]++, thread});
  }
  std::sort(order.begin(), order.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.turn, a.thread.node) < std::tie(b.rank, b.turn, b.thread.node);
  });
  std::vector<std::pair<int, size_t>> by_node;  // node, place in the order
  for (size_t i = 0; i < static_cast<size_t>(n_threads); ++i) {
    by_node.emplace_back(order[i % order.size()].thread.node, i);
  }
  std::sort(by_node.begin(), by_node.end());
  std::vector<HardwareThread> chosen;
  for (const auto& [node, i] : by_node) chosen.push_back(order[i % order.size()].thread);
  return chosen;
}

// The kernel's bit mask of nodes, and how many bits of it count.
constexpr size_t kMaxNodes = 1024;
using NodeMask = std::array<unsigned long, kMaxNodes / (8 * sizeof(unsigned long))>;

void add(NodeMask& mask, int node) {
  constexpr size_t kBits = 8 * sizeof(unsigned long);
  const auto n = static_cast<size_t>(node);
  if (n < kMaxNodes) mask[n / kBits] |= 1UL << (n % kBits);
}

// Docker's filter of system calls answers EPERM, others ENOSYS. Whatever else fails is no rule.
bool is_forbidden() { return errno == EPERM || errno == ENOSYS; }

}  // namespace

ThreadPlan ThreadPlan::unbound(int n_threads) {
  CHECK_LE(1, n_threads);
  return {.workers = std::vector<WorkerPlace>(static_cast<size_t>(n_threads)),
          .nodes = {0},
          .binds = false};
}

ThreadPlan plan_threads(const Topology& topology, int n_threads, Pin pin) {
  CHECK_LE(0, n_threads);
  CHECK(!topology.threads.empty());
  const bool pins = pin == Pin::cores || (pin == Pin::automatic && topology.n_nodes() > 1);
  ThreadPlan plan;
  plan.binds = pins && topology.is_this_machine;
  for (const HardwareThread& thread :
       choose(topology, n_threads > 0 ? n_threads : default_threads(topology))) {
    plan.workers.push_back({.pu = pins ? thread.pu : -1, .node = pins ? thread.node : 0});
    if (plan.nodes.empty() || plan.nodes.back() != plan.workers.back().node) {
      plan.nodes.push_back(plan.workers.back().node);
    }
  }
  return plan;
}

std::string describe(const ThreadPlan& plan) {
  std::string text =
      std::to_string(plan.n_threads()) + (plan.n_threads() == 1 ? " thread" : " threads");
  if (plan.workers[0].pu < 0) return text + ", not pinned";
  text += plan.binds ? ", pinned to" : ", to be pinned to";
  for (const int node : plan.nodes) {
    if (plan.nodes.size() > 1) text += " node " + std::to_string(node) + ":";
    for (const WorkerPlace& worker : plan.workers) {
      if (worker.node == node) text += " " + std::to_string(worker.pu);
    }
    if (node != plan.nodes.back()) text += ",";
  }
  return text;
}

std::vector<NodeRange> node_ranges(const ThreadPlan& plan, size_t first, size_t n_bytes,
                                   size_t page) {
  const size_t n_workers = plan.workers.size();
  // The page boundary nearest to where worker w's share begins.
  const auto cut = [&](size_t w) {
    if (w == 0) return size_t{0};
    if (w == n_workers) return n_bytes;
    // Not n_bytes * w: that could overflow.
    const size_t exact = n_bytes / n_workers * w + n_bytes % n_workers * w / n_workers;
    const size_t address = (first + exact + page / 2) / page * page;
    return std::clamp(address, first, first + n_bytes) - first;
  };
  std::vector<NodeRange> ranges;
  for (size_t w = 0; w < n_workers;) {
    const int node = plan.workers[w].node;
    size_t end = w;
    while (end < n_workers && plan.workers[end].node == node) ++end;
    const NodeRange range{.node = node, .begin = cut(w), .end = cut(end)};
    if (range.begin < range.end) ranges.push_back(range);
    w = end;
  }
  return ranges;
}

bool place_on_nodes(std::span<std::byte> memory, const ThreadPlan& plan) {
  if (!plan.binds || plan.nodes.size() < 2) return true;
  const auto first = reinterpret_cast<size_t>(memory.data());
  for (const NodeRange& range : node_ranges(plan, first, memory.size(), kHugePage)) {
    // mbind wants whole pages. A page that two matrices share goes to the one that asks last.
    const size_t begin = (first + range.begin) / kPage * kPage;
    const size_t end = round_up(first + range.end, kPage);
    NodeMask mask = {};
    add(mask, range.node);
    // Preference only: memory on another node is slower, not wrong.
    if (syscall(SYS_mbind, begin, end - begin, MPOL_PREFERRED, mask.data(), kMaxNodes, 0) != 0 &&
        is_forbidden()) {
      return false;
    }
  }
  return true;
}

bool interleave_memory(const ThreadPlan& plan) {
  if (!plan.binds || plan.nodes.size() < 2) return true;
  NodeMask mask = {};
  for (const int node : plan.nodes) add(mask, node);
  return syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, mask.data(), kMaxNodes) == 0 ||
         !is_forbidden();
}

void run_on_node(const ThreadPlan& plan, int node) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const WorkerPlace& worker : plan.workers) {
    if (worker.node == node && worker.pu >= 0 && worker.pu < CPU_SETSIZE) {
      CPU_SET(static_cast<size_t>(worker.pu), &set);
    }
  }
  // Fails where none of them may be used any more; then it runs where it may.
  if (plan.binds) sched_setaffinity(0, sizeof set, &set);
}

void bind_this_thread(const ThreadPlan& plan, int worker) {
  const int pu = plan.workers[static_cast<size_t>(worker)].pu;
  if (!plan.binds || pu < 0 || pu >= CPU_SETSIZE) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(pu), &set);
  // Fails only where the process has lost that CPU meanwhile; then it runs where it may.
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace dbrx
