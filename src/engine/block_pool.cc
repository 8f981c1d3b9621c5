#include "engine/block_pool.h"

#include "base/error.h"

namespace dbrx {

BlockPool::BlockPool(int64_t n_blocks) : is_free_(static_cast<size_t>(n_blocks), 1) {
  free_.reserve(static_cast<size_t>(n_blocks));
  for (int64_t id = n_blocks - 1; id >= 0; --id) free_.push_back(static_cast<int32_t>(id));
}

int32_t BlockPool::take() {
  CHECK(!free_.empty());
  const int32_t id = free_.back();
  free_.pop_back();
  is_free_[static_cast<size_t>(id)] = 0;
  return id;
}

void BlockPool::give_back(std::vector<int32_t>& blocks) {
  for (const int32_t id : blocks) {
    CHECK_LT(id, n_blocks());
    CHECK_LE(0, id);
    CHECK(!is_free_[static_cast<size_t>(id)]);
    is_free_[static_cast<size_t>(id)] = 1;
    free_.push_back(id);
  }
  blocks.clear();
}

}  // namespace dbrx
