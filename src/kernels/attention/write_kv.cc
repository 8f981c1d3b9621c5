#include "base/error.h"
#include "kernels/attention/attention.h"

namespace dbrx {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;

void write_f32(const KvLayer& cache, const float* k, const float* v, int64_t kv_head,
               int64_t slot) {
  const int64_t base = slot / kBlock * cache.block_values() + kv_head * cache.head_dim * kBlock;
  const int64_t token = slot % kBlock;
  float* keys = reinterpret_cast<float*>(cache.keys) + base;
  float* values = reinterpret_cast<float*>(cache.values) + base;
  for (int64_t i = 0; i < cache.head_dim; ++i) {
    keys[i * kBlock + token] = k[i];
    values[token * cache.head_dim + i] = v[i];
  }
}

void write_bf16(const KvLayer& cache, const float* k, const float* v, int64_t kv_head,
                int64_t slot) {
  const int64_t base = slot / kBlock * cache.block_values() + kv_head * cache.head_dim * kBlock;
  const int64_t token = slot % kBlock;
  uint16_t* keys = reinterpret_cast<uint16_t*>(cache.keys) + base;
  uint16_t* values = reinterpret_cast<uint16_t*>(cache.values) + base;
  for (int64_t i = 0; i < cache.head_dim; ++i) {
    keys[(i / 2 * kBlock + token) * 2 + i % 2] = float_to_bf16(k[i]);
    values[(token / 2 * cache.head_dim + i) * 2 + token % 2] = float_to_bf16(v[i]);
  }
}

}  // namespace

void write_kv(Context& context, const WriteKvArgs& args) {
  const KvLayer& cache = args.cache;
  CHECK(cache.format == Format::f32 || cache.format == Format::bf16);
  CHECK_EQ(cache.head_dim % 2, 0);
  CHECK_EQ(args.k.cols, cache.n_kv_heads * cache.head_dim);
  CHECK_EQ(args.v.cols, args.k.cols);
  CHECK_EQ(args.k.rows, static_cast<int64_t>(args.slots.size()));
  CHECK_EQ(args.v.rows, args.k.rows);
  // One task for a head, not for a row: neighbouring tokens share cache lines.
  context.pool.run(static_cast<size_t>(cache.n_kv_heads), [&](size_t task) {
    const auto head = static_cast<int64_t>(task);
    const auto write = cache.format == Format::f32 ? write_f32 : write_bf16;
    for (int64_t row = 0; row < args.k.rows; ++row) {
      const int64_t slot = args.slots[static_cast<size_t>(row)];
      write(cache, args.k.row(row) + head * cache.head_dim, args.v.row(row) + head * cache.head_dim,
            head, slot);
    }
  });
}

}  // namespace dbrx
