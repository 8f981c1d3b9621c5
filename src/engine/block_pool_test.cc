#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <set>

namespace dbrx {
namespace {

using Tokens = std::array<int32_t, static_cast<size_t>(kKvBlockTokens)>;

Tokens text(int32_t what) {
  Tokens tokens;
  tokens.fill(7);
  tokens.back() = what;
  return tokens;
}

TEST(BlockPool, hands_out_every_block_once) {
  BlockPool pool(5);
  std::vector<int32_t> taken;
  for (int i = 0; i < 5; ++i) taken.push_back(pool.take());
  EXPECT_EQ(std::set<int32_t>(taken.begin(), taken.end()), (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.n_free(), 0);
  pool.give_back(taken);
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(pool.n_free(), 5);
  EXPECT_EQ(pool.n_cached(), 0);
}

TEST(BlockPool, finds_a_block_by_its_tokens_and_by_what_is_before_it) {
  BlockPool pool(4);
  const int32_t a = pool.take();
  EXPECT_EQ(pool.find(kNoBlock, text(1)), -1);
  const BlockName first = pool.name_block(a, kNoBlock, text(1));
  const int32_t b = pool.take();
  pool.name_block(b, first, text(2));
  EXPECT_EQ(pool.find(kNoBlock, text(1)), a);
  EXPECT_EQ(pool.find(first, text(2)), b);
  EXPECT_EQ(pool.find(kNoBlock, text(2)), -1);
  EXPECT_EQ(pool.find(first, text(1)), -1);
}

TEST(BlockPool, finds_a_block_that_was_given_back_until_it_is_taken) {
  BlockPool pool(2);
  std::vector<int32_t> blocks = {pool.take()};
  const int32_t id = blocks[0];
  pool.name_block(id, kNoBlock, text(1));
  pool.give_back(blocks);
  EXPECT_EQ(pool.n_free(), 2);
  EXPECT_EQ(pool.n_cached(), 1);
  EXPECT_NE(pool.take(), id);  // those without a name first
  EXPECT_EQ(pool.find(kNoBlock, text(1)), id);
  EXPECT_EQ(pool.take(), id);
  EXPECT_EQ(pool.find(kNoBlock, text(1)), -1);
  EXPECT_EQ(pool.n_cached(), 0);
}

TEST(BlockPool, a_shared_block_is_free_when_its_last_owner_gives_it_back) {
  BlockPool pool(1);
  std::vector<int32_t> mine = {pool.take()};
  pool.name_block(mine[0], kNoBlock, text(1));
  pool.share(mine[0]);
  std::vector<int32_t> yours = mine;
  pool.give_back(mine);
  EXPECT_EQ(pool.n_free(), 0);
  pool.give_back(yours);
  EXPECT_EQ(pool.n_free(), 1);
}

TEST(BlockPool, takes_the_least_recently_used_first_and_the_end_of_a_text_before_its_beginning) {
  BlockPool pool(4);
  std::vector<int32_t> first = {pool.take(), pool.take()};
  std::vector<int32_t> second = {pool.take(), pool.take()};
  const std::vector<int32_t> a = first;
  const std::vector<int32_t> b = second;
  pool.name_block(a[1], pool.name_block(a[0], kNoBlock, text(1)), text(2));
  pool.name_block(b[1], pool.name_block(b[0], kNoBlock, text(3)), text(4));
  pool.give_back(second);
  pool.give_back(first);
  pool.share(b[0]);  // used again: now the last of all
  second = {b[0]};
  pool.give_back(second);
  std::vector<int32_t> order;
  for (int i = 0; i < 4; ++i) order.push_back(pool.take());
  EXPECT_EQ(order, (std::vector<int32_t>{b[1], a[1], a[0], b[0]}));
}

TEST(BlockPool, a_second_block_with_the_same_text_takes_the_name_of_the_first) {
  BlockPool pool(2);
  const int32_t a = pool.take();
  const int32_t b = pool.take();
  const BlockName name = pool.name_block(a, kNoBlock, text(1));
  EXPECT_EQ(pool.name_block(b, kNoBlock, text(1)), name);
  EXPECT_EQ(pool.find(kNoBlock, text(1)), a);
  EXPECT_EQ(pool.name(b), kNoBlock);
}

TEST(BlockPool, a_text_whose_beginning_was_lost_is_not_found_behind_another_beginning) {
  BlockPool pool(2);
  std::vector<int32_t> beginning = {pool.take()};
  const BlockName name = pool.name_block(beginning[0], kNoBlock, text(1));
  const int32_t end = pool.take();
  pool.name_block(end, name, text(2));
  pool.give_back(beginning);
  const int32_t other = pool.take();  // the same memory
  const BlockName other_name = pool.name_block(other, kNoBlock, text(3));
  EXPECT_EQ(pool.find(other_name, text(2)), -1);
}

// A pool and the texts that hold its blocks, beside what each block must contain.
struct Play {
  struct Holder {
    std::vector<int32_t> blocks;
    std::vector<int32_t> said;  // the last token of each block
    BlockName last = kNoBlock;
  };
  using Text = std::optional<std::vector<int32_t>>;

  static constexpr int64_t kBlocks = 12;

  explicit Play(uint32_t seed) : random(seed) {}

  int32_t draw(size_t n) { return static_cast<int32_t>(random() % n); }

  // A text begins with all that can be found of it.
  void begin() {
    Holder holder;
    while (true) {
      const int32_t what = draw(2);
      const int32_t id = pool.find(holder.last, text(what));
      holder.said.push_back(what);
      const bool is_there = std::ranges::find(content, Text(holder.said)) != content.end();
      if (id < 0) {
        EXPECT_FALSE(holder.blocks.empty() && is_there);
        holder.said.pop_back();
        break;
      }
      EXPECT_EQ(content[static_cast<size_t>(id)], holder.said);
      ++n_found;
      pool.share(id);
      holder.blocks.push_back(id);
      holder.last = pool.name(id);
    }
    holders.push_back(holder);
  }

  void lengthen(Holder& holder) {
    const int32_t id = pool.take();
    Text& now = content[static_cast<size_t>(id)];
    now.reset();
    holder.blocks.push_back(id);
    holder.said.push_back(draw(2));
    holder.last = pool.name_block(id, holder.last, text(holder.said.back()));
    if (pool.name(id) == holder.last) now = holder.said;
  }

  void end(size_t which) {
    pool.give_back(holders[which].blocks);
    holders.erase(holders.begin() + static_cast<int64_t>(which));
  }

  void step() {
    if (holders.empty() || (draw(3) == 0 && holders.size() < 5)) return begin();
    const auto which = static_cast<size_t>(draw(holders.size()));
    if (draw(3) == 0 || pool.n_free() == 0) return end(which);
    lengthen(holders[which]);
  }

  void check() const {
    std::set<int32_t> owned;
    for (const Holder& holder : holders) owned.insert(holder.blocks.begin(), holder.blocks.end());
    EXPECT_EQ(pool.n_free(), kBlocks - std::ssize(owned));
    int64_t n_cached = 0;
    for (int32_t id = 0; id < kBlocks; ++id) {
      EXPECT_EQ(pool.is_free(id), !owned.contains(id));
      n_cached += pool.is_free(id) && content[static_cast<size_t>(id)].has_value();
    }
    EXPECT_EQ(pool.n_cached(), n_cached);
  }

  std::mt19937 random;
  BlockPool pool{kBlocks};
  std::vector<Holder> holders;
  std::vector<Text> content = std::vector<Text>(kBlocks);  // whole texts, by block
  int64_t n_found = 0;
};

TEST(BlockPool, whatever_is_done_it_finds_exactly_what_is_still_there) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    Play play(seed);
    for (int i = 0; i < 3000 && !::testing::Test::HasFailure(); ++i) {
      play.step();
      play.check();
    }
    while (!play.holders.empty()) play.end(0);
    play.check();
    EXPECT_GT(play.n_found, 100);
  }
}

// One text after the other, of two blocks each, none of them ever seen again.
TEST(BlockPool, a_small_load_leaves_most_of_the_memory_untouched) {
  BlockPool pool(1000);
  const auto run = [&](int32_t first_text, int n_blocks) {
    std::vector<int32_t> blocks;
    BlockName name = kNoBlock;
    for (int i = 0; i < n_blocks; ++i) {
      blocks.push_back(pool.take());
      name = pool.name_block(blocks.back(), name, text(first_text));
    }
    pool.give_back(blocks);
  };
  for (int32_t i = 0; i < 400; ++i) run(i, 2);
  EXPECT_EQ(pool.n_touched(), 1000 / 8);
  EXPECT_EQ(pool.n_cached(), 1000 / 8);
  EXPECT_EQ(pool.n_free(), 1000);
  for (int32_t i = 1000; i < 1020; ++i) run(i, 100);  // a larger load may have more
  EXPECT_EQ(pool.n_touched(), 4 * 100);
  for (int32_t i = 2000; i < 2020; ++i) run(i, 300);
  EXPECT_EQ(pool.n_touched(), 1000);
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

TEST(BlockPoolDeathTest, aborts_when_a_block_without_a_text_is_shared_or_a_free_one_named) {
  BlockPool pool(1);
  EXPECT_DEATH(pool.share(0), "CHECK failed");
  EXPECT_DEATH(pool.name_block(0, kNoBlock, text(1)), "CHECK failed");
}

}  // namespace
}  // namespace dbrx
