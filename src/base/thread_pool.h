// A fixed team of threads that run one function together and meet at the end. The calling thread is
// worker 0. Tasks are dealt out by position: worker w of T has the w-th of T equal ranges, so what
// a worker reads is one contiguous piece, the same in every run, and can lie on its NUMA node. Who
// is done early helps the others. Which thread computes what never changes a result.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/topology.h"

namespace dbrx {

class ThreadPool {
 public:
  // Worker threads run with denormals flushed to zero, where the plan says, and receive no signals
  // from outside.
  // The caller must enter(). Throws Error resource_exhausted.
  explicit ThreadPool(const ThreadPlan& plan);
  explicit ThreadPool(int n_threads) : ThreadPool(ThreadPlan::unbound(n_threads)) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Makes the calling thread worker 0: flushes its denormals and binds it where the plan binds.
  void enter() const;

  // Calls task(i) once for each i in [0, n_tasks), n_tasks < 2^24, and returns when all are done.
  // Worker w of T begins with [w * n_tasks / T, (w + 1) * n_tasks / T), ascending, and then takes
  // single tasks of others, of its own node first. Tasks must be independent. Only
  // the thread that owns the pool may call it; not re-entrant. Does not allocate, and makes no
  // system call while the workers are awake: they stay so for some tens of microseconds. When no
  // task runs any more it throws what the first one of them has thrown; Error(corrupt) where a task
  // met a page of a mapped file that can't be read and was left there (read_fault.h).
  template <typename Task>
  void run(size_t n_tasks, Task&& task) {
    run_raw(n_tasks, [](void* context, size_t i) { (*static_cast<Task*>(context))(i); }, &task);
  }

 private:
  using Raw = void (*)(void* context, size_t index);
  void run_raw(size_t n_tasks, Raw function, const void* context);

  struct State;
  int n_threads_;
  std::unique_ptr<State> state_;
};

// Sets this thread's floating-point mode to flush denormal results and inputs to zero, as AMX
// always does. Every thread that runs kernels must have called it.
void flush_denormals();

}  // namespace dbrx
