#include "base/topology.h"

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "base/error.h"
#include "base/limits.h"

namespace dbrx {
namespace {

struct Destroy {
  void operator()(hwloc_topology* topology) const { hwloc_topology_destroy(topology); }
};
using Machine = std::unique_ptr<hwloc_topology, Destroy>;

struct Free {
  void operator()(hwloc_bitmap_s* bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, Free>;

// Only what the process may use; devices are not looked for.
Machine load_machine() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) == 0) {
    Machine machine(raw);
    if (hwloc_topology_load(raw) == 0) return machine;
  }
  throw Error(Code::internal, "hwloc can't read this machine's topology (is HWLOC_SYNTHETIC set?)");
}

// On a machine without the notion there is one node.
int node_of(const hwloc_obj* pu) {
  const int first = hwloc_bitmap_first(pu->nodeset);
  return std::max(first, 0);
}

}  // namespace

Topology find_topology() {
  const Machine machine = load_machine();
  Topology topology;
  topology.is_this_machine = hwloc_topology_is_thissystem(machine.get()) != 0;
  if (topology.is_this_machine) topology.cpu_quota = cpu_quota();
  const Bitmap mine(hwloc_bitmap_alloc_full());
  hwloc_get_cpubind(machine.get(), mine.get(), HWLOC_CPUBIND_THREAD);
  hwloc_obj_t pu = nullptr;
  while ((pu = hwloc_get_next_obj_by_type(machine.get(), HWLOC_OBJ_PU, pu)) != nullptr) {
    if (hwloc_bitmap_isset(mine.get(), pu->os_index) == 0) continue;
    const hwloc_obj* core = hwloc_get_ancestor_obj_by_type(machine.get(), HWLOC_OBJ_CORE, pu);
    const unsigned core_number = core == nullptr ? pu->logical_index : core->logical_index;
    topology.threads.push_back({.pu = static_cast<int>(pu->os_index),
                                .core = static_cast<int>(core_number),
                                .node = node_of(pu)});
  }
  if (topology.threads.empty()) {
    throw Error(Code::internal, "hwloc finds no CPU that this process may use");
  }
  std::sort(topology.threads.begin(), topology.threads.end(), [](const auto& a, const auto& b) {
    return std::tie(a.node, a.core, a.pu) < std::tie(b.node, b.core, b.pu);
  });
  return topology;
}

int Topology::n_cores() const {
  std::set<int> cores;
  for (const HardwareThread& thread : threads) cores.insert(thread.core);
  return static_cast<int>(cores.size());
}

int Topology::n_nodes() const {
  std::set<int> nodes;
  for (const HardwareThread& thread : threads) nodes.insert(thread.node);
  return static_cast<int>(nodes.size());
}

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int n = CPU_COUNT(&set);
  const double quota = cpu_quota();
  return quota > 0 ? std::clamp(static_cast<int>(std::ceil(quota)), 1, n) : n;
}

}  // namespace dbrx
