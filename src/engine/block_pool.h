// Which blocks of the KV cache are free. Ids only; the memory belongs to KvCache. One thread.
#pragma once

#include <cstdint>
#include <vector>

namespace dbrx {

class BlockPool {
 public:
  explicit BlockPool(int64_t n_blocks);

  int64_t n_blocks() const { return static_cast<int64_t>(is_free_.size()); }
  int64_t n_free() const { return static_cast<int64_t>(free_.size()); }

  // The block freed last (its memory is the warmest). There must be one.
  int32_t take();

  // Gives blocks back and empties the list. Each must have been taken.
  void give_back(std::vector<int32_t>& blocks);

 private:
  std::vector<int32_t> free_;  // a stack; never grows beyond its first size
  std::vector<char> is_free_;  // [n_blocks], to catch a block that is freed twice
};

}  // namespace dbrx
