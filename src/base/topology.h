// Which hardware threads this process may use, and the plan of a team: on which of them each worker
// runs and on which NUMA node its share of the weights belongs. What is found comes from hwloc, so
// HWLOC_SYNTHETIC="node:2 core:4 pu:2" describes another machine; what is planned is a pure
// function of it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

struct HardwareThread {
  int pu = 0;    // the operating system's number
  int core = 0;  // numbered over the whole machine, node by node
  int node = 0;  // the operating system's number of the NUMA node
};

struct Topology {
  std::vector<HardwareThread> threads;  // that the process may use (affinity, cpuset), node by node
  double cpu_quota = 0;                 // CPUs that control groups grant; 0: no limit
  bool is_this_machine = true;          // false: described by HWLOC_SYNTHETIC, nothing is bound

  int n_cores() const;
  int n_nodes() const;
};

// Throws Error(internal) when hwloc can't read the machine.
Topology find_topology();

// The number of CPUs that this process may use, hardware threads counted singly, and within the
// quota of its control groups.
int available_cpus();

// Where one worker runs.
struct WorkerPlace {
  int pu = -1;   // -1: wherever the operating system likes
  int node = 0;  // whose memory it should read
};

struct ThreadPlan {
  std::vector<WorkerPlace> workers;  // one node's workers are neighbours
  std::vector<int> nodes;            // that they are on, ascending
  bool binds = false;                // threads are pinned and memory is placed

  // So many workers without a place: for tests and tools.
  static ThreadPlan unbound(int n_threads);
  int n_threads() const { return static_cast<int>(workers.size()); }
};

// --pin. `automatic` pins where there are several NUMA nodes: a thread that moves to another node
// leaves its memory behind. On one node the operating system knows better which CPU is free; in a
// small virtual machine pinning would make a worker wait for a CPU that something else uses.
enum class Pin { automatic, none, cores };

// n_threads 0: one for each core, since hardware threads of a core share the units that kernels
// keep busy (up to four hardware threads: all), but no more than the quota grants. More than there
// are cores: second hardware threads are used after all first ones; more than there are hardware
// threads: places are used again.
ThreadPlan plan_threads(const Topology& topology, int n_threads, Pin pin);

// "8 threads on 8 cores of 2 NUMA nodes, pinned"
std::string describe(const ThreadPlan& plan);

// Part of a piece of memory that belongs on one node.
struct NodeRange {
  int node = 0;
  size_t begin = 0;  // bytes
  size_t end = 0;

  bool operator==(const NodeRange&) const = default;
};

// Worker w of T reads the bytes [w/T, (w+1)/T) of every weight matrix. The ranges of n_bytes that
// the nodes' workers read, in order, cut where (first + begin) is a multiple of `page`: memory is
// placed page by page. `first` is the address of the first byte.
std::vector<NodeRange> node_ranges(const ThreadPlan& plan, size_t first, size_t n_bytes,
                                   size_t page);

// Puts the ranges of not yet touched memory on their nodes (mbind, preferred: a full node is no
// error). Does nothing where the plan does not bind. False: the system forbids it (a container
// without CAP_SYS_NICE); then who touches a page first should run on its node.
bool place_on_nodes(std::span<std::byte> memory, const ThreadPlan& plan);

// From here on memory that this thread, or a thread that it starts, touches first is spread over
// the plan's nodes page by page, unless it was placed: activations and the KV cache, which all
// read. False: forbidden, as above.
bool interleave_memory(const ThreadPlan& plan);

// Lets the calling thread run on the CPUs of the plan's workers of one node only.
void run_on_node(const ThreadPlan& plan, int node);

// Binds the calling thread, where the plan binds.
void bind_this_thread(const ThreadPlan& plan, int worker);

}  // namespace dbrx
