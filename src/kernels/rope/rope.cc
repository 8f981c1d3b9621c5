#include "kernels/rope/rope.h"

#include <cmath>

#include "base/error.h"

namespace dbrx {
namespace {

void rotate_head(float* x, const float* cosine, const float* sine, int64_t half) {
  for (int64_t j = 0; j < half; ++j) {
    const float low = x[j];
    const float high = x[j + half];
    x[j] = low * cosine[j] - high * sine[j];
    x[j + half] = high * cosine[j] + low * sine[j];
  }
}

}  // namespace

RopeTable make_rope_table(int64_t n_positions, int64_t head_dim, double theta) {
  CHECK_EQ(head_dim % 2, 0);
  CHECK_LE(0, n_positions);
  CHECK(theta > 0);
  RopeTable table;
  table.n_positions = n_positions;
  table.half_dim = head_dim / 2;
  table.cos_sin.resize(static_cast<size_t>(n_positions * head_dim));
  std::vector<float> frequency(static_cast<size_t>(table.half_dim));
  for (int64_t j = 0; j < table.half_dim; ++j) {
    // Rounded twice, as the reference rounds: the power, then its reciprocal. One rounding would
    // move a third of the frequencies by one unit in the last place, visible in angles at position
    // 30000.
    const double exponent = 2.0 * static_cast<double>(j) / static_cast<double>(head_dim);
    frequency[static_cast<size_t>(j)] = 1.0F / static_cast<float>(std::pow(theta, exponent));
  }
  float* row = table.cos_sin.data();
  for (int64_t position = 0; position < n_positions; ++position, row += head_dim) {
    for (int64_t j = 0; j < table.half_dim; ++j) {
      const float angle = static_cast<float>(position) * frequency[static_cast<size_t>(j)];
      row[j] = static_cast<float>(std::cos(static_cast<double>(angle)));
      row[j + table.half_dim] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  return table;
}

void rope(Context& context, const RopeArgs& args) {
  CHECK(args.table != nullptr);
  const RopeTable& table = *args.table;
  const int64_t half = table.half_dim;
  CHECK_EQ(args.x.cols, args.n_heads * 2 * half);
  CHECK_EQ(args.x.rows, static_cast<int64_t>(args.positions.size()));
  for (const int32_t position : args.positions) {
    CHECK_LE(0, position);
    CHECK_LT(position, table.n_positions);
  }
  context.pool.run(args.positions.size(), [&](size_t row) {
    const float* cosine = table.cos_sin.data() + args.positions[row] * 2 * half;
    float* x = args.x.row(static_cast<int64_t>(row));
    for (int64_t head = 0; head < args.n_heads; ++head) {
      rotate_head(x + head * 2 * half, cosine, cosine + half, half);
    }
  });
}

}  // namespace dbrx
