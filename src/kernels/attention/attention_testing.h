// Sequences for the tests of attention: q, k and v, and a paged cache they live in.
#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/attention/attention.h"
#include "kernels/testing.h"

namespace dbrx::testing {

constexpr Format kKvFormats[] = {Format::f32, Format::bf16, Format::int8};

struct AttentionShape {
  int64_t n_heads, n_kv_heads, head_dim;

  float scale() const { return 1 / std::sqrt(static_cast<float>(head_dim)); }
};

// A cache of n_blocks blocks. Unwritten slots hold `stale`.
struct PagedCache {
  PagedCache(Format format, const AttentionShape& shape, int64_t n_blocks, float stale = 0)
      : layer{.format = format, .n_kv_heads = shape.n_kv_heads, .head_dim = shape.head_dim} {
    const auto n_bytes = static_cast<size_t>(n_blocks * layer.block_bytes());
    for (std::vector<std::byte>* bytes : {&keys, &values}) {
      bytes->resize(n_bytes);
      if (stale == 0) continue;
      if (format == Format::bf16) {
        const uint16_t bits = float_to_bf16(stale);
        for (size_t i = 0; i < n_bytes; i += 2) std::memcpy(bytes->data() + i, &bits, 2);
      } else {  // of int8 the scales matter
        for (size_t i = 0; i < n_bytes; i += 4) std::memcpy(bytes->data() + i, &stale, 4);
      }
    }
  }

  KvLayer view() {
    layer.keys = keys.data();
    layer.values = values.data();
    return layer;
  }

  KvLayer layer;
  std::vector<std::byte> keys, values;
};

// Blocks 0 .. n - 1 in random order.
inline std::vector<int32_t> shuffled_blocks(int64_t n, std::mt19937& random) {
  std::vector<int32_t> blocks(static_cast<size_t>(n));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), random);
  return blocks;
}

// Cache slots of tokens first .. first + n - 1.
inline std::vector<int64_t> slots_of(std::span<const int32_t> blocks, int64_t first, int64_t n) {
  std::vector<int64_t> slots;
  for (int64_t t = first; t < first + n; ++t) {
    const auto block = static_cast<size_t>(t / kKvBlockTokens);
    slots.push_back(blocks[block] * kKvBlockTokens + t % kKvBlockTokens);
  }
  return slots;
}

}  // namespace dbrx::testing
