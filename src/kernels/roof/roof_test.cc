#include "kernels/roof/roof.h"

#include <cstring>

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

TEST(Roof, RatesAreThoseOfAMachine) {
  std::vector<std::byte> memory(1 << 22);
  Context context(choose_isa({}), 2);
  const Roof roof = measure_roof(context, memory);
  EXPECT_GT(roof.read_bytes, 1e6);
  EXPECT_GT(roof.int8_ops, 1e6);
  EXPECT_GT(roof.bf16_ops, 1e6);
  EXPECT_GT(roof.f32_ops, 1e6);
}

// The host of a virtual machine is shared, so the two may differ, but not by much more than this.
TEST(Roof, ReadingIsMeasuredAloneAsItIsWithTheRest) {
  std::vector<std::byte> memory(size_t{512} << 20, std::byte{1});
  Context context(choose_isa({}), 2);
  const double alone = measure_read(context, memory.size());
  const double with_others = measure_roof(context, memory).read_bytes;
  EXPECT_GT(alone, with_others / 10);
  EXPECT_LT(alone, with_others * 10);
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
