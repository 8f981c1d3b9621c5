#include "base/thread_pool.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "base/read_fault.h"

namespace dbrx {
namespace {

// A run and a place in it are one word each: the number of the run above 24 bits of task. A word of
// an older run is smaller, so who comes late sees that there is nothing left for him.
constexpr int kTaskBits = 24;
constexpr uint64_t kTaskMask = (uint64_t{1} << kTaskBits) - 1;

// How long a worker that waits stays awake: longer than the gap between two ops of one step.
constexpr std::chrono::microseconds kAwake{50};

// Calls `ready` until it is true, for about kAwake. False: it never was.
template <typename Ready>
bool spin_until(const Ready& ready) {
  std::chrono::steady_clock::time_point end;
  for (int round = 0;; ++round) {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
    const auto now = std::chrono::steady_clock::now();
    if (round == 0) end = now + kAwake;
    if (now > end) return false;
  }
}

}  // namespace

// A run is published by storing `run`, after all that belongs to it. Nobody waits for a worker that
// has not come: the run is over when `n_done` says that all tasks are, and a worker that comes
// later finds every range taken.
struct ThreadPool::State {
  // A worker's own range. It alone begins with it, so the line mostly stays in its cache.
  struct alignas(kAlignment) Range {
    std::atomic<uint64_t> next{0};  // number of the run, tasks that were taken in it
    std::vector<size_t> others;     // whom its worker helps, own node first
  };

  ThreadPlan plan;
  std::vector<std::thread> threads;
  std::vector<Range> ranges;
  Raw function = nullptr;
  void* context = nullptr;
  alignas(kAlignment) std::atomic<uint64_t> run{0};  // its number, its number of tasks
  std::atomic<bool> stop{false};
  std::atomic<bool> has_failed{false};  // a task of this run
  std::exception_ptr failure;           // of the first one that has
  alignas(kAlignment) std::atomic<size_t> n_done{0};
  alignas(kAlignment) std::atomic<int> n_asleep{0};
  std::atomic<uint32_t> bell{0};  // rung for those who sleep

  explicit State(const ThreadPlan& the_plan) : plan(the_plan), ranges(the_plan.workers.size()) {
    const size_t n = ranges.size();
    for (size_t w = 0; w < n; ++w) {
      for (const bool near : {true, false}) {
        for (size_t i = 1; i < n; ++i) {
          const size_t other = (w + i) % n;
          const bool is_near = plan.workers[other].node == plan.workers[w].node;
          if (is_near == near) ranges[w].others.push_back(other);
        }
      }
    }
  }

  // The first task of worker w's range.
  size_t begin_of(size_t w, size_t n_tasks) const { return w * n_tasks / ranges.size(); }

  // Takes a task out of worker w's range, if one is left; `word` is the run that the caller is in.
  bool take(uint64_t word, size_t w, size_t& task) {
    const uint64_t fresh = word & ~kTaskMask;
    const size_t n_tasks = word & kTaskMask;
    const size_t begin = begin_of(w, n_tasks);
    const size_t size = begin_of(w + 1, n_tasks) - begin;
    std::atomic<uint64_t>& next = ranges[w].next;
    uint64_t seen = next.load(std::memory_order_relaxed);
    while (true) {
      const uint64_t place = std::max(seen, fresh);
      if (place - fresh >= size) return false;  // all taken, or a newer run
      if (next.compare_exchange_weak(seen, place + 1, std::memory_order_relaxed)) {
        task = begin + (place - fresh);
        return true;
      }
    }
  }

  // A task that was taken keeps its run from ending, so `function` and `context` are this run's.
  void work(uint64_t word, size_t me) {
    size_t n = 0;  // tasks done and not yet counted
    // Who was thrown out of a task goes on with the others.
    while (!completes([&] { work_on(word, me, n); })) {
      n_done.fetch_add(n + 1, std::memory_order_release);
      n = 0;
    }
  }

  void work_on(uint64_t word, size_t me, size_t& n) {
    size_t task = 0;
    for (; take(word, me, task); ++n) function(context, task);
    if (n > 0) n_done.fetch_add(n, std::memory_order_release);
    n = 0;
    for (const size_t other : ranges[me].others) {
      while (take(word, other, task)) {
        function(context, task);
        n_done.fetch_add(1, std::memory_order_release);
      }
    }
  }

  // All tasks of a run, by the caller alone.
  void work_alone(size_t n_tasks) {
    size_t next = 0;
    const auto rest = [&] {
      while (next < n_tasks) function(context, next++);
    };
    while (!completes(rest)) continue;
  }

  // False: a task of these failed.
  template <typename Tasks>
  bool completes(const Tasks& tasks) {
    try {
      if (catch_read_fault(tasks)) return true;
      flush_denormals();  // the signal's handler began with the processor's own mode
      throw Error(Code::corrupt, first_read_fault());
    } catch (...) {
      if (!has_failed.exchange(true)) failure = std::current_exception();
    }
    return false;
  }

  void rethrow() {
    if (!has_failed.load(std::memory_order_relaxed)) return;
    has_failed.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(failure, nullptr));
  }

  uint64_t wait_for_run(uint64_t seen) {
    const auto is_new = [&] { return run.load(std::memory_order_acquire) != seen; };
    if (!spin_until(is_new)) {
      // Either publish() sees that we sleep, or we see its run: both are sequentially consistent.
      n_asleep.fetch_add(1);
      for (uint32_t rung = bell.load(); run.load() == seen; rung = bell.load()) bell.wait(rung);
      n_asleep.fetch_sub(1);
    }
    return run.load(std::memory_order_acquire);
  }

  void publish(size_t n_tasks) {
    const uint64_t number = (run.load(std::memory_order_relaxed) >> kTaskBits) + 1;
    run.store(number << kTaskBits | n_tasks);
    if (n_asleep.load() == 0) return;
    bell.fetch_add(1);
    bell.notify_all();
  }

  void worker_loop(size_t me) {
    pthread_setname_np(pthread_self(), "compute");
    flush_denormals();
    bind_this_thread(plan, static_cast<int>(me));
    uint64_t seen = 0;
    while (true) {
      seen = wait_for_run(seen);
      if (stop.load(std::memory_order_relaxed)) return;
      work(seen, me);
    }
  }

  // Others are in the middle of tasks. One that has lost its CPU may need ours.
  void wait_for_others(size_t n_tasks) {
    const auto is_over = [&] { return n_done.load(std::memory_order_acquire) == n_tasks; };
    if (spin_until(is_over)) return;
    while (!is_over()) std::this_thread::yield();
  }

  void end() {
    stop.store(true, std::memory_order_relaxed);
    publish(0);
    for (std::thread& thread : threads) thread.join();
  }
};

ThreadPool::ThreadPool(const ThreadPlan& plan)
    : n_threads_(plan.n_threads()), state_(std::make_unique<State>(plan)) {
  CHECK_LE(1, n_threads_);
  // Workers inherit the mask: signals are for the threads that wait for them, but for the one that
  // a worker itself causes (read_fault.h).
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (size_t i = 1; i < plan.workers.size(); ++i) {
      state_->threads.emplace_back([state = state_.get(), i] { state->worker_loop(i); });
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    const size_t n_started = state_->threads.size() + 1;
    state_->end();
    throw Error(Code::resource_exhausted, "can't start " + std::to_string(n_threads_) +
                                              " threads, only " + std::to_string(n_started) + " (" +
                                              error.what() + "): lower --threads");
  }
}

ThreadPool::~ThreadPool() { state_->end(); }

void ThreadPool::enter() const {
  flush_denormals();
  bind_this_thread(state_->plan, 0);
}

void ThreadPool::run_raw(size_t n_tasks, Raw function, const void* context) {
  State& state = *state_;
  CHECK_LE(n_tasks, kTaskMask);
  state.function = function;
  state.context = const_cast<void*>(context);
  if (n_threads_ == 1 || n_tasks <= 1) {
    state.work_alone(n_tasks);
  } else {
    state.n_done.store(0, std::memory_order_relaxed);
    state.publish(n_tasks);
    state.work(state.run.load(std::memory_order_relaxed), 0);
    state.wait_for_others(n_tasks);
  }
  state.rethrow();
}

void flush_denormals() {
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
}

}  // namespace dbrx
