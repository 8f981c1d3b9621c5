// A fixed team of threads that run one function together and meet at the end: no queues of tasks,
// no stealing, so that which thread computes what never changes a result. The calling thread is
// worker 0.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace dbrx {

class ThreadPool {
 public:
  // n_threads >= 1, the caller included. Workers run with denormals flushed to zero (see
  // flush_denormals); the caller must do that for its own thread. Workers receive no signals.
  // Throws Error resource_exhausted.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return n_threads_; }

  // Calls task(i) once for each i in [0, n_tasks), spread over the team through one shared counter,
  // and returns when all are done. Tasks must be independent and must not throw. Only the thread
  // that owns the pool may call it; not re-entrant. Does not allocate.
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

// The number of CPUs that this process may use.
int available_cpus();

}  // namespace dbrx
