// Which blocks of the KV cache are free, and which texts they hold. Ids only; the memory belongs to
// KvCache. One thread; nothing but the constructor allocates.
//
// A block whose tokens are all computed gets a name: whoever needs the same tokens behind the same
// text finds it by that and shares it. A name is a number that is given once; it stands for the
// name of the block before and the 64 tokens of this one, which are compared, not just hashed. So
// what is found holds exactly the text that was looked for, from its beginning.
//
// A named block without owners is free, but can be found until it is taken for another text. Blocks
// without a name are taken first, then those that were never used, then those that were given back
// longest ago. But the memory of a block that was never used is not taken from the system yet, and
// while the load is small it is not: once an eighth of all blocks, and four times as many as had
// owners at the same time, were used, named ones are taken before it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention/attention.h"

namespace dbrx {

using BlockName = uint64_t;
constexpr BlockName kNoBlock = 0;  // what stands before the first block of a text
using BlockTokens = std::span<const int32_t, static_cast<size_t>(kKvBlockTokens)>;

class BlockPool {
 public:
  explicit BlockPool(int64_t n_blocks);

  int64_t n_blocks() const { return static_cast<int64_t>(blocks_.size()) - 1; }
  int64_t n_free() const { return n_linked_ + n_blocks() - n_touched_; }  // without owners
  int64_t n_cached() const { return n_cached_; }                          // of these, can be found
  int64_t n_touched() const { return n_touched_; }                        // that were ever taken
  bool is_free(int32_t block) const { return at(block).n_owners == 0; }
  bool has_one_owner(int32_t block) const { return at(block).n_owners == 1; }
  BlockName name(int32_t block) const { return at(block).name; }  // kNoBlock: it has none

  // A free block for new tokens. There must be one.
  int32_t take();

  // The block that holds these tokens behind the block `before`, or -1.
  int32_t find(BlockName before, BlockTokens tokens) const;

  // Gives a block that was found one owner more.
  void share(int32_t block);

  // Says that a block, taken and without a name, now holds these tokens behind the block `before`.
  // Returns its name, or that of the block that has held the same before.
  BlockName name_block(int32_t block, BlockName before, BlockTokens tokens);

  // Takes a block's name away if it has one and a single owner.
  void forget_unshared(int32_t block);

  // Gives the blocks of a text back and empties the list. Each must have an owner. The last ones
  // count as given back first, so the beginning of a text, which more others have, stays longest.
  void give_back(std::vector<int32_t>& blocks);

 private:
  struct Entry {
    int32_t n_owners = 0;
    int32_t previous = 0;  // in the ring of free blocks; -1: not in it
    int32_t next = 0;
    int32_t next_in_bucket = -1;
    BlockName name = kNoBlock;
    BlockName before = kNoBlock;
  };

  Entry& at(int32_t block) { return blocks_[static_cast<size_t>(block)]; }
  const Entry& at(int32_t block) const { return blocks_[static_cast<size_t>(block)]; }
  int32_t ring() const { return static_cast<int32_t>(n_blocks()); }
  void link(int32_t block, int32_t before_block);
  void unlink(int32_t block);
  void forget(int32_t block);
  int64_t n_owned() const { return n_blocks() - n_free(); }
  bool prefers_untouched() const;
  void count_owned();
  size_t bucket(BlockName before, BlockTokens tokens) const;
  BlockTokens tokens(int32_t block) const;

  // The last entry is the head of the ring, in which free blocks are that were used: the next to be
  // taken is behind it.
  std::vector<Entry> blocks_;     // [n_blocks + 1]
  std::vector<int32_t> tokens_;   // [n_blocks, 64], of those that have a name
  std::vector<int32_t> buckets_;  // [power of 2] first block; -1: none
  BlockName last_name_ = kNoBlock;
  int64_t n_linked_ = 0;  // blocks in the ring
  int64_t n_touched_ = 0;
  int64_t most_owned_ = 0;  // blocks with owners at the same time, since the start
  int64_t n_cached_ = 0;
};

}  // namespace dbrx
