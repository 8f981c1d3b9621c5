#include <cmath>

#include "base/error.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/int8_rounding.h"

namespace dbrx {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;

// One token's place in a head's part of a block.
struct Place {
  std::byte* keys;
  std::byte* values;
  int64_t head_dim;
  int64_t token;  // in the block
};

void write_f32(const Place& to, const float* k, const float* v) {
  auto* keys = reinterpret_cast<float*>(to.keys);
  auto* values = reinterpret_cast<float*>(to.values);
  for (int64_t i = 0; i < to.head_dim; ++i) {
    keys[i * kBlock + to.token] = k[i];
    values[to.token * to.head_dim + i] = v[i];
  }
}

void write_bf16(const Place& to, const float* k, const float* v) {
  auto* keys = reinterpret_cast<uint16_t*>(to.keys);
  auto* values = reinterpret_cast<uint16_t*>(to.values);
  for (int64_t i = 0; i < to.head_dim; ++i) {
    keys[(i / 2 * kBlock + to.token) * 2 + i % 2] = float_to_bf16(k[i]);
    values[(to.token / 2 * to.head_dim + i) * 2 + to.token % 2] = float_to_bf16(v[i]);
  }
}

int8_t round_to_int8(float x, float inverse) {
  return inverse == 0 ? int8_t{0} : static_cast<int8_t>(std::lrint(x * inverse));
}

void write_int8(const Place& to, const float* k, const float* v) {
  const IntScale key = int_scale(largest_bits(k, to.head_dim), kKvTop);
  const IntScale value = int_scale(largest_bits(v, to.head_dim), kKvTop);
  reinterpret_cast<float*>(to.keys)[to.token] = key.scale;
  reinterpret_cast<float*>(to.values)[to.token] = value.scale;
  auto* keys = reinterpret_cast<int8_t*>(to.keys) + kInt8ScaleBytes;
  auto* values = reinterpret_cast<int8_t*>(to.values) + kInt8ScaleBytes;
  const int64_t dims = int8_dims(to.head_dim);
  for (int64_t i = 0; i < to.head_dim; ++i) {
    keys[(i / 4 * kBlock + to.token) * 4 + i % 4] = round_to_int8(k[i], key.inverse);
    values[(to.token / 4 * dims + i) * 4 + to.token % 4] = round_to_int8(v[i], value.inverse);
  }
}

auto* writer(Format format) {
  switch (format) {
    case Format::f32:
      return write_f32;
    case Format::bf16:
      return write_bf16;
    case Format::int8:
      return write_int8;
    default:
      CHECK(!"a format of keys and values");
      __builtin_unreachable();
  }
}

}  // namespace

void write_kv(Context& context, const WriteKvArgs& args) {
  const KvLayer& cache = args.cache;
  CHECK_EQ(cache.head_dim % 2, 0);
  CHECK_EQ(args.k.cols, cache.n_kv_heads * cache.head_dim);
  CHECK_EQ(args.v.cols, args.k.cols);
  CHECK_EQ(args.k.rows, static_cast<int64_t>(args.slots.size()));
  CHECK_EQ(args.v.rows, args.k.rows);
  auto* const write = writer(cache.format);
  // One task for a head, not for a row: neighbouring tokens share cache lines.
  context.pool.run(static_cast<size_t>(cache.n_kv_heads), [&](size_t task) {
    const auto head = static_cast<int64_t>(task);
    for (int64_t row = 0; row < args.k.rows; ++row) {
      const int64_t slot = args.slots[static_cast<size_t>(row)];
      const int64_t offset = slot / kBlock * cache.block_bytes() + head * cache.head_bytes();
      write({.keys = cache.keys + offset,
             .values = cache.values + offset,
             .head_dim = cache.head_dim,
             .token = slot % kBlock},
            args.k.row(row) + head * cache.head_dim, args.v.row(row) + head * cache.head_dim);
    }
  });
}

}  // namespace dbrx
