#include "base/thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"

namespace dbrx {

// A run is published by raising `generation`; workers that spin see it at once, sleepers are woken.
// The run is over when every worker has reported in `done`.
struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::atomic<uint64_t> generation{0};
  std::atomic<int> done{0};
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  size_t n_tasks = 0;
  Raw function = nullptr;
  void* context = nullptr;
  std::mutex mutex;
  std::condition_variable wake;

  void work() {
    while (true) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= n_tasks) return;
      function(context, i);
    }
  }

  // Waits for a generation newer than `seen`: spins for some tens of microseconds (the gap between
  // two ops of one step), then sleeps.
  uint64_t wait_for_run(uint64_t seen) {
    constexpr int kSpins = 4000;
    for (int i = 0; i < kSpins; ++i) {
      const uint64_t now = generation.load(std::memory_order_acquire);
      if (now != seen) return now;
      _mm_pause();
    }
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
    return generation.load(std::memory_order_acquire);
  }

  void worker_loop() {
    flush_denormals();
    uint64_t seen = 0;
    while (true) {
      seen = wait_for_run(seen);
      if (stop.load(std::memory_order_relaxed)) return;
      work();
      done.fetch_add(1, std::memory_order_release);
    }
  }

  void publish() {
    {
      const std::lock_guard lock(mutex);
      generation.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
  }

  void end() {
    stop.store(true, std::memory_order_relaxed);
    publish();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads), state_(std::make_unique<State>()) {
  CHECK_LE(1, n_threads);
  // Workers inherit the mask: signals are for the threads that wait for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (int i = 1; i < n_threads; ++i) {
      state_->workers.emplace_back([state = state_.get()] { state->worker_loop(); });
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    const size_t n_started = state_->workers.size() + 1;
    state_->end();
    throw Error(Code::resource_exhausted, "can't start " + std::to_string(n_threads) +
                                              " threads, only " + std::to_string(n_started) + " (" +
                                              error.what() + "): lower --threads");
  }
}

ThreadPool::~ThreadPool() { state_->end(); }

void ThreadPool::run_raw(size_t n_tasks, Raw function, const void* context) {
  State& state = *state_;
  if (n_threads_ == 1 || n_tasks <= 1) {
    for (size_t i = 0; i < n_tasks; ++i) function(const_cast<void*>(context), i);
    return;
  }
  state.n_tasks = n_tasks;
  state.function = function;
  state.context = const_cast<void*>(context);
  state.next.store(0, std::memory_order_relaxed);
  state.done.store(0, std::memory_order_relaxed);
  state.publish();
  state.work();
  while (state.done.load(std::memory_order_acquire) != n_threads_ - 1) {
    for (int i = 0; i < 64; ++i) _mm_pause();
    // A worker that has not been given a CPU yet must not wait for us to burn ours.
    if (state.done.load(std::memory_order_acquire) != n_threads_ - 1) std::this_thread::yield();
  }
}

void flush_denormals() {
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
}

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace dbrx
