// Aligned memory: owned blocks for weights and caches, and the scratch arena of one forward step.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace dbrx {

constexpr size_t kAlignment = 64;  // bytes; one cache line, one AVX-512 register, one tile row
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// An owned, zero-filled block of bytes, aligned to kAlignment. A large one is aligned to 2 MB,
// advised as huge pages, and takes physical memory only where it is touched. Move-only.
class Block {
 public:
  Block() = default;
  explicit Block(size_t bytes);  // throws Error(resource_exhausted)

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return data_ == nullptr ? 0 : data_.get_deleter().bytes; }

 private:
  struct Unmap {
    size_t bytes;
    void operator()(std::byte* pointer) const;
  };
  std::unique_ptr<std::byte, Unmap> data_;
};

// A stack of scratch memory: take() hands out aligned pieces, a Mark gives them back. It grows by
// whole blocks the first time a step needs more; after that no step allocates. One thread only.
class Arena {
 public:
  // Uninitialised room for n values, valid until the enclosing Mark dies.
  template <typename T>
  std::span<T> take(size_t n) {
    return {reinterpret_cast<T*>(take_bytes(n * sizeof(T))), n};
  }

  // Remembers the fill level and restores it when it goes out of scope.
  class Mark {
   public:
    explicit Mark(Arena& arena) : arena_(arena), block_(arena.block_), used_(arena.used_) {}
    ~Mark() {
      arena_.block_ = block_;
      arena_.used_ = used_;
    }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    Arena& arena_;
    size_t block_;
    size_t used_;
  };

  size_t capacity_bytes() const;

 private:
  std::byte* take_bytes(size_t bytes);

  std::vector<Block> blocks_;
  size_t block_ = 0;  // index of the block that is being filled
  size_t used_ = 0;   // bytes used of it
};

}  // namespace dbrx
