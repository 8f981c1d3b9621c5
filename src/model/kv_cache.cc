#include "model/kv_cache.h"

#include "base/error.h"

namespace dbrx {

KvCache::KvCache(const ModelConfig& config, Format format, int64_t n_blocks)
    : format_(format),
      n_blocks_(n_blocks),
      n_kv_heads_(config.n_kv_heads),
      head_dim_(config.head_dim) {
  CHECK(format == Format::f32 || format == Format::bf16 || format == Format::int8);
  const auto bytes = static_cast<size_t>(n_blocks * n_kv_heads_ * kv_head_bytes(format, head_dim_));
  for (int64_t i = 0; i < config.n_layers; ++i) {
    keys_.emplace_back(bytes);
    values_.emplace_back(bytes);
  }
}

KvLayer KvCache::layer(int64_t index) {
  return {.keys = keys_[static_cast<size_t>(index)].data(),
          .values = values_[static_cast<size_t>(index)].data(),
          .format = format_,
          .n_kv_heads = n_kv_heads_,
          .head_dim = head_dim_};
}

int64_t KvCache::bytes_per_token(const ModelConfig& config, Format format) {
  return 2 * config.n_layers * config.n_kv_heads * kv_head_bytes(format, config.head_dim) /
         kKvBlockTokens;
}

}  // namespace dbrx
