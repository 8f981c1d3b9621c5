#include "kernels/attention/attention_scalar.h"
#include "kernels/attention/int8_rounding.h"

namespace dbrx {
namespace {

// Returns the scale.
float round_row(const float* x, int64_t n, int32_t* integers) {
  const IntScale s = int_scale(largest_bits(x, n), kFactorTop);
  for (int64_t i = 0; i < n; ++i) {
    integers[i] = s.inverse == 0 ? 0 : static_cast<int32_t>(std::lrint(x[i] * s.inverse));
  }
  return s.scale;
}

struct Int8Cache {
  struct Query {
    int32_t q[kMaxHeadDim];
    float factor;
  };
  const float* key_scales;  // [64]
  const int8_t* keys;       // [dims / 4][64][4]
  const float* value_scales;
  const int8_t* values;  // [16][dims][4]
  int64_t head_dim;
  int64_t dims;

  Int8Cache(const AttentionTask& task, const std::byte* k, const std::byte* v)
      : key_scales(reinterpret_cast<const float*>(k)),
        keys(reinterpret_cast<const int8_t*>(k) + kInt8ScaleBytes),
        value_scales(reinterpret_cast<const float*>(v)),
        values(reinterpret_cast<const int8_t*>(v) + kInt8ScaleBytes),
        head_dim(task.head_dim),
        dims(int8_dims(task.head_dim)) {}

  static float round(float value) { return value; }

  static Query prepare(const AttentionTask& task, const float* q) {
    Query query;
    query.factor = round_row(q, task.head_dim, query.q) * task.scale;
    return query;
  }

  float score(const Query& query, int64_t token) const {
    int32_t sum = 0;
    for (int64_t i = 0; i < head_dim; ++i) {
      sum += query.q[i] * keys[(i / 4 * kBlock + token) * 4 + i % 4];
    }
    return static_cast<float>(sum) * key_scales[token] * query.factor;
  }

  void add_values(const float* p, int64_t n, float correction, float* acc) const {
    float weights[kBlock];
    for (int64_t j = 0; j < n; ++j) weights[j] = p[j] * value_scales[j];
    int32_t w[kBlock];
    const float scale = round_row(weights, n, w);
    for (int64_t i = 0; i < head_dim; ++i) {
      int32_t sum = 0;
      for (int64_t j = 0; j < n; ++j) sum += w[j] * values[(j / 4 * dims + i) * 4 + j % 4];
      acc[i] = std::fma(static_cast<float>(sum), scale, acc[i] * correction);
    }
  }
};

}  // namespace

const AttentionKernel attention_int8_scalar = {.name = "int8 scalar",
                                               .isa = Isa::scalar,
                                               .format = Format::int8,
                                               .run = run<Int8Cache>,
                                               .merge = merge_saved};

}  // namespace dbrx
