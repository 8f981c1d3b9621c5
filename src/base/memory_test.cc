#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "base/error.h"
#include "base/limits.h"

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

// As the experts of a layer take it: the same in all, in pieces of other sizes each time.
TEST(Arena, TakesNoMoreMemoryThanTheLargestStepWhateverItsPieces) {
#if defined(DBRX_ASAN) || defined(DBRX_TSAN)
  GTEST_SKIP() << "sanitizers take memory of their own";
#endif
  constexpr size_t kStep = size_t{64} << 20;
  constexpr size_t kPieces = 16;
  std::mt19937_64 random(1);
  Arena arena;
  const int64_t before = resident_memory();
  for (int step = 0; step < 60; ++step) {
    const Arena::Mark of_step(arena);
    for (int layer = 0; layer < 4; ++layer) {
      const Arena::Mark of_layer(arena);
      size_t left = kStep;
      for (size_t i = 0; i < kPieces; ++i) {
        const size_t n = i + 1 == kPieces ? left : random() % (2 * left / (kPieces - i));
        left -= n;
        const auto piece = arena.take<char>(n);
        for (size_t at = 0; at < n; at += kPage) piece[at] = 1;
      }
    }
  }
  EXPECT_LT(resident_memory() - before, static_cast<int64_t>(kStep + kStep / 8));
}

TEST(Arena, DoesNotGrowWhenTheSameStepIsRepeated) {
  Arena arena;
  size_t capacity = 0;
  for (int step = 0; step < 10; ++step) {
    const Arena::Mark mark(arena);
    for (const size_t n : {size_t{100}, size_t{3} << 20, size_t{1} << 19, size_t{7}}) {
      arena.take<char>(n);
    }
    if (step > 1) {  // after the first one, one block took the place of several
      EXPECT_EQ(arena.capacity_bytes(), capacity);
    }
    capacity = arena.capacity_bytes();
  }
}

}  // namespace
}  // namespace dbrx
