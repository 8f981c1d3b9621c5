#include "base/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <exception>
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
  while (level_.block < blocks_.size() && level_.used + rounded > blocks_[level_.block].size()) {
    ++level_.block;
    level_.used = 0;
  }
  if (level_.block == blocks_.size()) {
    // Each as large as all before, so that few are needed. Whole huge pages: rows of activations
    // lie KiB apart, more of them than a TLB has small pages.
    blocks_.emplace_back(round_up(std::max({rounded, kAlignment, capacity_bytes()}), kHugePage));
    level_.used = 0;
  }
  std::byte* piece = blocks_[level_.block].data() + level_.used;
  level_.used += rounded;
  level_.taken += rounded;
  most_taken_ = std::max(most_taken_, level_.taken);
  return piece;
}

void Arena::rewind(const Level& level) noexcept {
  level_ = level;
  if (level.taken > 0 || blocks_.size() < 2) return;
  blocks_.clear();  // first: two copies might not fit
  try {
    // Twice as large: needs that rise slowly do not move everything each time.
    blocks_.emplace_back(round_up(2 * most_taken_, kHugePage));
  } catch (const std::exception&) {
    blocks_.clear();  // the next step asks again, and tells its caller what is missing
  }
}

size_t Arena::capacity_bytes() const {
  size_t total = 0;
  for (const Block& block : blocks_) total += block.size();
  return total;
}

}  // namespace dbrx
