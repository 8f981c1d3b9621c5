#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace dbrx {
namespace {

TEST(BlockPool, hands_out_every_block_once) {
  BlockPool pool(5);
  std::vector<int32_t> taken;
  for (int i = 0; i < 5; ++i) taken.push_back(pool.take());
  EXPECT_EQ(std::set<int32_t>(taken.begin(), taken.end()), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.n_free(), 0);
  pool.give_back(taken);
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(pool.n_free(), 5);
}

TEST(BlockPoolDeathTest, aborts_when_a_block_is_freed_twice) {
  BlockPool pool(2);
  std::vector<int32_t> blocks = {pool.take()};
  std::vector<int32_t> again = blocks;
  pool.give_back(blocks);
  EXPECT_DEATH(pool.give_back(again), "CHECK failed");
}

TEST(BlockPoolDeathTest, aborts_when_a_block_was_never_there) {
  BlockPool pool(2);
  std::vector<int32_t> blocks = {2};
  EXPECT_DEATH(pool.give_back(blocks), "CHECK failed");
}

TEST(BlockPoolDeathTest, aborts_when_nothing_is_left) {
  BlockPool pool(1);
  pool.take();
  EXPECT_DEATH(pool.take(), "CHECK failed");
}

}  // namespace
}  // namespace dbrx
