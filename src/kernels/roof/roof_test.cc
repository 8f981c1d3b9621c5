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
    int32_t sink = 0;
    const int64_t one = kernel->int8(1, &sink);
    EXPECT_GT(one, 0);
    EXPECT_EQ(kernel->int8(1000, &sink), 1000 * one);
  }
}

TEST(Roof, RatesAreThoseOfAMachine) {
  std::vector<std::byte> memory(1 << 22);
  Context context(choose_isa({}), 2);
  const Roof roof = measure_roof(context, memory);
  EXPECT_GT(roof.read_bytes, 1e6);
  EXPECT_GT(roof.int8_ops, 1e6);
}

}  // namespace
}  // namespace dbrx
