#include "engine/block_pool.h"

#include <algorithm>
#include <bit>
#include <ranges>

#include "base/error.h"

namespace dbrx {

BlockPool::BlockPool(int64_t n_blocks)
    : blocks_(static_cast<size_t>(n_blocks + 1)),
      tokens_(static_cast<size_t>(n_blocks * kKvBlockTokens)),
      buckets_(std::bit_ceil(static_cast<size_t>(n_blocks)), -1) {
  at(ring()).previous = at(ring()).next = ring();
}

// Puts a free block in the ring, before another one.
void BlockPool::link(int32_t block, int32_t before_block) {
  Entry& entry = at(block);
  entry.next = before_block;
  entry.previous = at(before_block).previous;
  at(entry.previous).next = block;
  at(before_block).previous = block;
  ++n_linked_;
  n_cached_ += entry.name != kNoBlock;
}

void BlockPool::unlink(int32_t block) {
  Entry& entry = at(block);
  at(entry.previous).next = entry.next;
  at(entry.next).previous = entry.previous;
  entry.previous = entry.next = -1;
  --n_linked_;
  n_cached_ -= entry.name != kNoBlock;
}

bool BlockPool::prefers_untouched() const {
  constexpr int64_t kTimesOwned = 4;
  constexpr int64_t kShare = 8;
  if (n_touched_ == n_blocks()) return false;
  if (n_linked_ == 0) return true;
  if (at(at(ring()).next).name == kNoBlock) return false;
  const int64_t most = std::max(most_owned_, n_owned() + 1);  // with the one that is wanted
  return n_touched_ < std::max(kTimesOwned * most, n_blocks() / kShare);
}

int32_t BlockPool::take() {
  CHECK_LT(0, n_free());
  int32_t id = 0;
  if (prefers_untouched()) {
    id = static_cast<int32_t>(n_touched_++);
  } else {
    id = at(ring()).next;
    unlink(id);
  }
  if (at(id).name != kNoBlock) forget(id);
  at(id).n_owners = 1;
  count_owned();
  return id;
}

size_t BlockPool::bucket(BlockName before, BlockTokens tokens) const {
  uint64_t hash = before;
  for (const int32_t token : tokens) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  return static_cast<size_t>(hash) & (buckets_.size() - 1);
}

BlockTokens BlockPool::tokens(int32_t block) const {
  return BlockTokens(tokens_.begin() + block * kKvBlockTokens, kKvBlockTokens);
}

int32_t BlockPool::find(BlockName before, BlockTokens wanted) const {
  int32_t id = buckets_[bucket(before, wanted)];
  while (id >= 0 && !(at(id).before == before && std::ranges::equal(tokens(id), wanted))) {
    id = at(id).next_in_bucket;
  }
  return id;
}

void BlockPool::share(int32_t block) {
  CHECK(at(block).name != kNoBlock);
  if (is_free(block)) unlink(block);
  ++at(block).n_owners;
  count_owned();
}

void BlockPool::count_owned() { most_owned_ = std::max(most_owned_, n_owned()); }

BlockName BlockPool::name_block(int32_t block, BlockName before, BlockTokens tokens) {
  Entry& entry = at(block);
  CHECK(entry.n_owners > 0 && entry.name == kNoBlock);
  const int32_t other = find(before, tokens);
  if (other >= 0) return name(other);
  std::ranges::copy(tokens, tokens_.begin() + block * kKvBlockTokens);
  entry.name = ++last_name_;
  entry.before = before;
  int32_t& first = buckets_[bucket(before, tokens)];
  entry.next_in_bucket = first;
  first = block;
  return entry.name;
}

// Takes a block's name away.
void BlockPool::forget(int32_t block) {
  Entry& entry = at(block);
  int32_t* link = &buckets_[bucket(entry.before, tokens(block))];
  while (*link != block) link = &at(*link).next_in_bucket;
  *link = entry.next_in_bucket;
  entry.name = entry.before = kNoBlock;
}

void BlockPool::forget_unshared(int32_t block) {
  if (at(block).n_owners == 1 && at(block).name != kNoBlock) forget(block);
}

void BlockPool::give_back(std::vector<int32_t>& blocks) {
  for (const int32_t id : blocks | std::views::reverse) {
    CHECK_LT(id, n_blocks());
    CHECK_LE(0, id);
    CHECK(!is_free(id));
    if (--at(id).n_owners > 0) continue;
    link(id, at(id).name == kNoBlock ? at(ring()).next : ring());
  }
  blocks.clear();
}

}  // namespace dbrx
