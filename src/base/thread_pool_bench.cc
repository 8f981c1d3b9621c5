// What meeting costs: a run of tasks that do nothing, back to back, and after a pause in which the
// workers have gone to sleep.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <thread>

#include "base/thread_pool.h"

namespace dbrx {
namespace {

void run_empty(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  const auto n_tasks = static_cast<size_t>(state.range(1));
  while (state.KeepRunning()) {
    pool.run(n_tasks, [](size_t i) { benchmark::DoNotOptimize(i); });
  }
}

BENCHMARK(run_empty)
    ->ArgNames({"threads", "tasks"})
    ->ArgsProduct({{2, 4}, {2, 64, 1024}})
    ->UseRealTime();

void run_after_sleep(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  while (state.KeepRunning()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto start = std::chrono::steady_clock::now();
    pool.run(64, [](size_t i) { benchmark::DoNotOptimize(i); });
    state.SetIterationTime(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
}

BENCHMARK(run_after_sleep)->ArgName("threads")->Arg(2)->UseManualTime();

// Tasks of some microseconds, as the products of one decoded token are.
void run_short_tasks(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  while (state.KeepRunning()) {
    pool.run(32, [](size_t i) {
      for (size_t n = 0; n < 5000; ++n) benchmark::DoNotOptimize(i += n);
    });
  }
}

BENCHMARK(run_short_tasks)->ArgName("threads")->DenseRange(1, 3)->UseRealTime();

}  // namespace
}  // namespace dbrx
