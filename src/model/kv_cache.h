// The memory of keys and values, one pair of tensors per layer, cut in blocks of 64 tokens. Memory
// only: which sequence owns which block is the engine's business.
#pragma once

#include <cstdint>
#include <vector>

#include "base/memory.h"
#include "kernels/attention/attention.h"
#include "model/config.h"
#include "tensor/format.h"

namespace dbrx {

class KvCache {
 public:
  // format: f32, bf16 or int8. Throws Error(resource_exhausted).
  KvCache(const ModelConfig& config, Format format, int64_t n_blocks);

  Format format() const { return format_; }
  int64_t n_blocks() const { return n_blocks_; }
  KvLayer layer(int64_t index);

  // Bytes of keys and values of one token in all layers, scales included.
  static int64_t bytes_per_token(const ModelConfig& config, Format format);

 private:
  Format format_;
  int64_t n_blocks_;
  int64_t n_kv_heads_;
  int64_t head_dim_;
  std::vector<Block> keys_;    // per layer, layout in attention.h
  std::vector<Block> values_;  // per layer
};

}  // namespace dbrx
