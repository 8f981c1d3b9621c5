#include "kernels/pointwise/pointwise.h"

#include "base/error.h"

namespace dbrx {

void clip(Context& context, MatrixView<float> x, float limit) {
  CHECK(limit > 0);
  context.pool.run(static_cast<size_t>(x.rows), [&](size_t i) {
    float* row = x.row(static_cast<int64_t>(i));
    for (int64_t j = 0; j < x.cols; ++j) {
      // Both comparisons are false for NaN, which so stays.
      float value = row[j];
      value = value < -limit ? -limit : value;
      value = value > limit ? limit : value;
      row[j] = value;
    }
  });
}

void add(Context& context, MatrixView<float> x, MatrixView<const float> y) {
  CHECK_EQ(x.rows, y.rows);
  CHECK_EQ(x.cols, y.cols);
  context.pool.run(static_cast<size_t>(x.rows), [&](size_t i) {
    float* to = x.row(static_cast<int64_t>(i));
    const float* from = y.row(static_cast<int64_t>(i));
    for (int64_t j = 0; j < x.cols; ++j) to[j] += from[j];
  });
}

}  // namespace dbrx
