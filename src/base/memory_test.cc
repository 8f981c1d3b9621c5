#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "base/error.h"

namespace dbrx {
namespace {

TEST(Block, IsZeroAlignedAndWritableToItsLastByte) {
  for (const size_t bytes : {size_t{1}, size_t{4097}, (size_t{5} << 20) + 3}) {
    Block block(bytes);
    EXPECT_EQ(block.size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.data()) % kAlignment, 0U);
    EXPECT_TRUE(std::all_of(block.data(), block.data() + bytes,
                            [](std::byte b) { return b == std::byte{0}; }));
    std::fill(block.data(), block.data() + bytes, std::byte{1});
  }
  EXPECT_EQ(Block().size(), 0U);
  EXPECT_THROW(Block(size_t{1} << 60), Error);
}

TEST(Arena, PiecesAreAlignedAndApartAndAMarkGivesThemBack) {
  Arena arena;
  const auto first = arena.take<float>(3);
  const std::byte* again = nullptr;
  {
    const Arena::Mark mark(arena);
    const auto second = arena.take<char>(1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(second.data()) % kAlignment, 0U);
    EXPECT_GE(second.data(), reinterpret_cast<const char*>(first.data() + first.size()));
    again = reinterpret_cast<const std::byte*>(second.data());
    arena.take<char>(size_t{3} << 20);  // does not fit the first block
  }
  EXPECT_EQ(reinterpret_cast<const std::byte*>(arena.take<char>(1).data()), again);
}

TEST(Arena, DoesNotGrowWhenTheSameStepIsRepeated) {
  Arena arena;
  size_t capacity = 0;
  for (int step = 0; step < 10; ++step) {
    const Arena::Mark mark(arena);
    for (const size_t n : {size_t{100}, size_t{3} << 20, size_t{1} << 19, size_t{7}}) {
      arena.take<char>(n);
    }
    if (step > 0) {
      EXPECT_EQ(arena.capacity_bytes(), capacity);
    }
    capacity = arena.capacity_bytes();
  }
}

}  // namespace
}  // namespace dbrx
