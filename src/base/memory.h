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
// whole blocks when a step needs more than any before. When the outermost Mark dies, one block that
// would have held all of that takes the place of several: pieces of ever other sizes then never
// leave gaps, and no step allocates that needs no more than one before. Physical memory is taken
// only as far as pieces have reached. One thread only.
class Arena {
 public:
  // Uninitialised room for n values, valid until the enclosing Mark dies.
  template <typename T>
  std::span<T> take(size_t n) {
    return {reinterpret_cast<T*>(take_bytes(n * sizeof(T))), n};
  }

  struct Level {
    size_t block = 0;  // index of the block that is being filled
    size_t used = 0;   // bytes used of it
    size_t taken = 0;  // bytes of all pieces
  };

  // Remembers the fill level and restores it when it goes out of scope.
  class Mark {
   public:
    explicit Mark(Arena& arena) : arena_(arena), level_(arena.level_) {}
    ~Mark() { arena_.rewind(level_); }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    Arena& arena_;
    Level level_;
  };

  size_t capacity_bytes() const;
  size_t most_taken_bytes() const { return most_taken_; }  // at one time, since the start

 private:
  std::byte* take_bytes(size_t bytes);
  void rewind(const Level& level) noexcept;

  std::vector<Block> blocks_;
  Level level_;
  size_t most_taken_ = 0;  // bytes at one time, since the start
};

}  // namespace dbrx
