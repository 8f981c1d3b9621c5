#include "kernels/attention/attention_scalar.h"

#include "kernels/simd/bf16_scalar.h"

namespace dbrx {
namespace {

constexpr int64_t kChain = 32;  // summed elements of one pair of bf16 chains

struct FloatQuery {
  float q[kMaxHeadDim];
};

struct F32Cache {
  using Query = FloatQuery;
  const float* keys;    // [head_dim][64]
  const float* values;  // [64][head_dim]
  int64_t head_dim;
  float scale;

  F32Cache(const AttentionTask& task, const std::byte* k, const std::byte* v)
      : keys(reinterpret_cast<const float*>(k)),
        values(reinterpret_cast<const float*>(v)),
        head_dim(task.head_dim),
        scale(task.scale) {}

  static float round(float value) { return value; }

  static Query prepare(const AttentionTask& task, const float* q) {
    Query query;
    std::copy_n(q, task.head_dim, query.q);
    return query;
  }

  float score(const Query& query, int64_t token) const {
    float acc = 0;
    for (int64_t i = 0; i < head_dim; ++i) {
      acc = std::fma(query.q[i], keys[i * kBlock + token], acc);
    }
    return acc * scale;
  }

  void add_values(const float* p, int64_t n, float correction, float* acc) const {
    for (int64_t i = 0; i < head_dim; ++i) {
      acc[i] *= correction;
      for (int64_t j = 0; j < n; ++j) acc[i] = std::fma(p[j], values[j * head_dim + i], acc[i]);
    }
  }
};

// q and p are rounded to bf16.
struct Bf16Cache {
  using Query = FloatQuery;
  const uint16_t* keys;    // [head_dim / 2][64][2]
  const uint16_t* values;  // [32][head_dim][2]
  int64_t head_dim;
  float scale;

  Bf16Cache(const AttentionTask& task, const std::byte* k, const std::byte* v)
      : keys(reinterpret_cast<const uint16_t*>(k)),
        values(reinterpret_cast<const uint16_t*>(v)),
        head_dim(task.head_dim),
        scale(task.scale) {}

  static float round(float value) { return round_to_bf16(value); }

  static Query prepare(const AttentionTask& task, const float* q) {
    Query query;
    for (int64_t i = 0; i < task.head_dim; ++i) query.q[i] = round_to_bf16(q[i]);
    return query;
  }

  // acc + sum over i < n of a[i] * b(i), in pairs of chains.
  template <typename Factor>
  static float add_chains(float acc, const float* a, int64_t n, const Factor& b) {
    for (int64_t first = 0; first < n; first += kChain) {
      float chains[2] = {};
      for (int64_t i = first; i < std::min(first + kChain, n); ++i) {
        chains[i % 2] = fma_flushed(a[i], bf16_factor(b(i)), chains[i % 2]);
      }
      acc = flush(acc + flush(chains[0] + chains[1]));
    }
    return acc;
  }

  float score(const Query& query, int64_t token) const {
    const auto key = [&](int64_t i) { return keys[(i / 2 * kBlock + token) * 2 + i % 2]; };
    return add_chains(0, query.q, head_dim, key) * scale;
  }

  void add_values(const float* p, int64_t n, float correction, float* acc) const {
    for (int64_t i = 0; i < head_dim; ++i) {
      const auto value = [&](int64_t j) { return values[(j / 2 * head_dim + i) * 2 + j % 2]; };
      acc[i] = add_chains(acc[i] * correction, p, n, value);
    }
  }
};

}  // namespace

const AttentionKernel attention_f32_scalar = {.name = "f32 scalar",
                                              .isa = Isa::scalar,
                                              .format = Format::f32,
                                              .run = run<F32Cache>,
                                              .merge = merge_saved};
const AttentionKernel attention_bf16_scalar = {.name = "bf16 scalar",
                                               .isa = Isa::scalar,
                                               .format = Format::bf16,
                                               .run = run<Bf16Cache>,
                                               .merge = merge_saved};

}  // namespace dbrx
