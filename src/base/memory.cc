#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace dbrx {

void Block::Unmap::operator()(std::byte* pointer) const { munmap(pointer, round_up(bytes, kPage)); }

// Pages straight from the kernel are zero already and cost nothing until they are touched.
Block::Block(size_t bytes) {
  if (bytes == 0) return;
  const size_t wanted = round_up(bytes, kPage);
  const size_t slack = bytes >= kHugePage ? kHugePage : 0;
  void* mapped = mmap(nullptr, wanted + slack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    throw Error(Code::resource_exhausted,
                "out of memory: can't allocate " + std::to_string(bytes) + " bytes");
  }
  auto* first = static_cast<std::byte*>(mapped);
  if (slack > 0) {
    const size_t skip =
        round_up(reinterpret_cast<size_t>(first), kHugePage) - reinterpret_cast<size_t>(first);
    if (skip > 0) munmap(first, skip);
    if (slack > skip) munmap(first + skip + wanted, slack - skip);
    first += skip;
    // Advice only: without huge pages the memory still works, slower.
    madvise(first, wanted, MADV_HUGEPAGE);
  }
  data_ = std::unique_ptr<std::byte, Unmap>(first, Unmap{bytes});
}

std::byte* Arena::take_bytes(size_t bytes) {
  const size_t rounded = round_up(bytes, kAlignment);
  while (block_ < blocks_.size() && used_ + rounded > blocks_[block_].size()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    // Whole huge pages: rows of activations lie KiB apart, more of them than a TLB has small pages.
    blocks_.emplace_back(round_up(std::max(rounded, kAlignment), kHugePage));
    used_ = 0;
  }
  std::byte* piece = blocks_[block_].data() + used_;
  used_ += rounded;
  return piece;
}

size_t Arena::capacity_bytes() const {
  size_t total = 0;
  for (const Block& block : blocks_) total += block.size();
  return total;
}

}  // namespace dbrx
