#include "kernels/roof/roof.h"

#include <chrono>
#include <cstring>
#include <numeric>

#include "kernels/roof/roof_kernels.h"
#include "kernels/testing.h"

namespace dbrx {
namespace {

TEST(Roof, EveryKernelReadsEveryStreamAndCountsItsOperations) {
  std::vector<std::byte> memory(1 << 16);
  for (const RoofKernel* kernel : roof_kernels()) {
    if (!testing::runnable(kernel->isa)) continue;
    SCOPED_TRACE(kernel->name);
    std::fill(memory.begin(), memory.end(), std::byte{0});
    EXPECT_EQ(kernel->read(memory.data(), static_cast<int64_t>(memory.size())), 0U);
    // The first word of the last line of each stream counts.
    const size_t stream = memory.size() / kRoofStreams;
    for (size_t s = 1; s <= kRoofStreams; ++s) memory[s * stream - kRoofLine] = std::byte{1};
    EXPECT_EQ(kernel->read(memory.data(), static_cast<int64_t>(memory.size())), kRoofStreams);
    for (const PeakLoop loop : {kernel->int8, kernel->bf16, kernel->f32}) {
      uint32_t sink = 0;
      const int64_t one = loop(1, &sink);
      EXPECT_GT(one, 0);
      EXPECT_EQ(loop(1000, &sink), 1000 * one);
    }
  }
}

// Whoever takes bytes for gigabytes, loses a thread's share or counts a read twice is far outside
// of these bounds; what else a shared machine does meanwhile is not.
TEST(Roof, MemoryIsReadAboutAsFastAsAPlainLoopReadsIt) {
  std::vector<uint64_t> memory(size_t{64} << 17);  // 64 MB
  std::iota(memory.begin(), memory.end(), 0);
  const size_t n_bytes = memory.size() * sizeof(uint64_t);
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t sum = std::accumulate(memory.begin(), memory.end(), uint64_t{0});
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_EQ(sum, memory.size() * (memory.size() - 1) / 2);
  const double plain = static_cast<double>(n_bytes) / seconds;
  Context context(choose_isa({}), 2);
  for (const double rate :
       {measure_read(context, n_bytes),
        measure_roof(context, std::as_writable_bytes(std::span(memory))).read_bytes}) {
    EXPECT_GT(rate, plain / 20);
    EXPECT_LT(rate, plain * 100);
  }
}

// By hand: memory of 10 bytes a second; 100, 50 and 25 operations a second.
TEST(Roof, ShareIsOfTheRoofThatLimits) {
  const Roof roof = {.read_bytes = 10, .int8_ops = 100, .bf16_ops = 50, .f32_ops = 25};
  // Reading takes 4 s, products 1 + 1 + 1 s: of 8 s, half.
  const RoofShare read =
      share_of_roof({.bytes = 40, .int8_ops = 100, .bf16_ops = 50, .f32_ops = 25}, 8, roof);
  EXPECT_DOUBLE_EQ(read.share, 0.5);
  EXPECT_EQ(read.roof, "read");
  // Reading takes 1 s, products 3 + 1 s: all of 4 s, most of them those of bytes.
  const RoofShare int8 = share_of_roof({.bytes = 10, .int8_ops = 300, .bf16_ops = 50}, 4, roof);
  EXPECT_DOUBLE_EQ(int8.share, 1);
  EXPECT_EQ(int8.roof, "int8");
  EXPECT_EQ(share_of_roof({.bf16_ops = 50}, 4, roof).roof, "bf16");
  EXPECT_DOUBLE_EQ(share_of_roof({.f32_ops = 25}, 4, roof).share, 0.25);
  EXPECT_EQ(share_of_roof({.f32_ops = 25}, 4, roof).roof, "f32");
}

}  // namespace
}  // namespace dbrx
