#include "kernels/roof/roof.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/memory.h"
#include "kernels/roof/roof_kernels.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kKernels = {&roof_amx, &roof_avx512, &roof_avx2, &roof_scalar};
constexpr double kSeconds = 0.1;      // of each measurement
constexpr double kFewSeconds = 0.04;  // of the one that a server's start waits for

const RoofKernel& pick(Isa best) {
  for (const RoofKernel* kernel : kKernels) {
    if (kernel->isa <= best) return *kernel;
  }
  return roof_scalar;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Repeats `round`, which returns an amount of work, until the time is up. Returns the rate.
template <typename Round>
double rate_of(const Round& round, double seconds = kSeconds) {
  const Clock::time_point start = Clock::now();
  double work = 0;
  do {
    work += static_cast<double>(round());
  } while (seconds_since(start) < seconds);
  return work / seconds_since(start);
}

double read_rate(Context& context, const RoofKernel& kernel, std::span<const std::byte> memory,
                 double seconds) {
  const auto n_threads = static_cast<int64_t>(context.pool.n_threads());
  constexpr int64_t kUnit = kRoofStreams * kRoofLine;
  const int64_t share = static_cast<int64_t>(memory.size()) / n_threads / kUnit * kUnit;
  std::atomic<uint64_t> sink{0};
  const auto round = [&] {
    context.pool.run(static_cast<size_t>(n_threads), [&](size_t i) {
      sink += kernel.read(memory.data() + static_cast<int64_t>(i) * share, share);
    });
    return share * n_threads;
  };
  return rate_of(round, seconds);
}

// Touched by the threads that will read it: its pages are where they are.
Block touched_memory(Context& context, size_t bytes) {
  Block memory(bytes);
  const auto n_threads = static_cast<size_t>(context.pool.n_threads());
  context.pool.run(n_threads, [&](size_t i) {
    const size_t begin = bytes / n_threads * i;
    std::memset(memory.data() + begin, 1, bytes / n_threads);
  });
  return memory;
}

double peak_rate(Context& context, PeakLoop loop) {
  constexpr int64_t kLoops = 200'000;
  const auto n_threads = static_cast<size_t>(context.pool.n_threads());
  std::atomic<int64_t> n_ops{0};
  std::atomic<uint32_t> sink{0};
  return rate_of([&] {
    n_ops = 0;
    context.pool.run(n_threads, [&](size_t) {
      uint32_t result = 0;
      n_ops += loop(kLoops, &result);
      sink += result;
    });
    return n_ops.load();
  });
}

}  // namespace

std::span<const RoofKernel* const> roof_kernels() { return kKernels; }

Roof measure_roof(Context& context, std::span<const std::byte> memory) {
  CHECK_LE(size_t{1} << 20, memory.size());
  const RoofKernel& kernel = pick(context.isa);
  return {.read_bytes = read_rate(context, kernel, memory, kSeconds),
          .int8_ops = peak_rate(context, kernel.int8),
          .bf16_ops = peak_rate(context, kernel.bf16),
          .f32_ops = peak_rate(context, kernel.f32)};
}

double measure_read(Context& context, size_t most) {
  constexpr size_t kLeast = size_t{256} << 20, kMost = size_t{512} << 20;
  const auto cache = static_cast<size_t>(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L));
  const size_t n_bytes =
      std::min(std::clamp(2 * cache, kLeast, kMost), std::max(most, size_t{1} << 20));
  const Block memory = touched_memory(context, n_bytes);
  return read_rate(context, pick(context.isa), {memory.data(), memory.size()}, kFewSeconds);
}

RoofShare share_of_roof(const Work& work, double seconds, const Roof& roof) {
  struct Part {
    double seconds;
    std::string_view roof;
  };
  const std::array<Part, 3> products = {{{work.int8_ops / roof.int8_ops, "int8"},
                                         {work.bf16_ops / roof.bf16_ops, "bf16"},
                                         {work.f32_ops / roof.f32_ops, "f32"}}};
  Part most = products[0];
  double multiplying = 0;
  for (const Part& part : products) {
    multiplying += part.seconds;
    if (part.seconds > most.seconds) most = part;
  }
  const double reading = work.bytes / roof.read_bytes;
  return {.share = std::max(reading, multiplying) / seconds,
          .roof = reading >= multiplying ? "read" : most.roof};
}

}  // namespace dbrx
