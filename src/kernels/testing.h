// What the tests of the kernels share: random operands, the bundles to try, comparing bits.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "base/context.h"
#include "kernels/matmul/linear.h"
#include "tensor/format.h"
#include "tensor/quantized_row.h"
#include "tensor/view.h"

namespace dbrx::testing {

// Kernels promise their bits on threads that flush denormals.
class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override { flush_denormals(); }
};

// Every bundle that this machine can run, scalar first.
inline std::vector<Isa> runnable_isas() {
  std::vector<Isa> isas;
  for (int i = 0; i <= static_cast<int>(detect_isa()); ++i) isas.push_back(static_cast<Isa>(i));
  return isas;
}

inline bool runnable(Isa isa) { return isa <= detect_isa(); }

// An owned matrix whose rows are further apart than they are long.
template <typename T>
struct Matrix {
  static constexpr int64_t kGap = 3;

  Matrix(int64_t n_rows, int64_t n_cols)
      : rows(n_rows), cols(n_cols), values(static_cast<size_t>(n_rows * (n_cols + kGap))) {}

  MatrixView<T> view() { return {values.data(), rows, cols, cols + kGap}; }
  T& at(int64_t r, int64_t c) { return values[static_cast<size_t>(r * (cols + kGap) + c)]; }

  int64_t rows, cols;
  std::vector<T> values;
};

inline void fill_normal(std::vector<float>& values, std::mt19937& random, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  for (float& value : values) value = normal(random);
}

inline Matrix<float> normal_matrix(int64_t rows, int64_t cols, std::mt19937& random) {
  Matrix<float> m(rows, cols);
  fill_normal(m.values, random);
  return m;
}

// Values in a format, row-major without gaps, with what they decode to.
struct StoredMatrix {
  Format format = Format::f32;
  int64_t rows = 0, cols = 0;
  std::vector<std::byte> bytes;
  std::vector<float> decoded;

  float at(int64_t r, int64_t c) const { return decoded[static_cast<size_t>(r * cols + c)]; }
};

inline StoredMatrix store_matrix(Format format, int64_t rows, int64_t cols,
                                 const std::vector<float>& values) {
  StoredMatrix m{format, rows, cols, {}, values};
  m.bytes.resize(static_cast<size_t>(format_bytes(format, rows * cols)));
  for (size_t i = 0; i < values.size(); ++i) {
    if (format == Format::f32) {
      reinterpret_cast<float*>(m.bytes.data())[i] = values[i];
    } else {  // bf16
      reinterpret_cast<uint16_t*>(m.bytes.data())[i] = float_to_bf16(values[i]);
      m.decoded[i] = bf16_to_float(float_to_bf16(values[i]));
    }
  }
  return m;
}

inline StoredMatrix normal_stored(Format format, int64_t rows, int64_t cols, std::mt19937& random,
                                  float scale = 1) {
  std::vector<float> values(static_cast<size_t>(rows * cols));
  fill_normal(values, random, scale);
  return store_matrix(format, rows, cols, values);
}

inline Linear pack(const StoredMatrix& m) {
  return pack_linear({.data = m.bytes.data(),
                      .format = m.format,
                      .out_features = m.rows,
                      .in_features = m.cols,
                      .out_stride = m.cols});
}

// The matrix rounded to int8 or int4; `decoded` becomes what the rounded rows stand for.
inline Linear quantize(StoredMatrix& m, Format format) {
  QuantizedRow row;
  for (int64_t r = 0; r < m.rows; ++r) {
    float* values = m.decoded.data() + r * m.cols;
    quantize_row(format, {values, static_cast<size_t>(m.cols)}, row);
    for (int64_t c = 0; c < m.cols; ++c) values[c] = row.scale * static_cast<float>(row.factor(c));
  }
  Context context(choose_isa({}), 1);
  return quantize_linear(context,
                         {.data = m.bytes.data(),
                          .format = m.format,
                          .out_features = m.rows,
                          .in_features = m.cols,
                          .out_stride = m.cols},
                         format);
}

// Packed weights of any format.
inline Linear normal_linear(Format format, int64_t rows, int64_t cols, std::mt19937& random) {
  if (format != Format::int8 && format != Format::int4) {
    return pack(normal_stored(format, rows, cols, random));
  }
  StoredMatrix m = normal_stored(Format::f32, rows, cols, random);
  return quantize(m, format);
}

// Same bits; any NaN equals any NaN (which payload survives is not promised).
inline bool same_bits(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

inline void expect_same_bits(Matrix<float>& actual, Matrix<float>& expected) {
  ASSERT_EQ(actual.rows, expected.rows);
  ASSERT_EQ(actual.cols, expected.cols);
  for (int64_t r = 0; r < actual.rows; ++r) {
    for (int64_t c = 0; c < actual.cols; ++c) {
      ASSERT_TRUE(same_bits(actual.at(r, c), expected.at(r, c)))
          << "row " << r << " column " << c << ": " << actual.at(r, c) << " instead of "
          << expected.at(r, c);
    }
  }
}

inline void expect_same_row(Matrix<float>& actual, int64_t actual_row, Matrix<float>& expected,
                            int64_t expected_row) {
  for (int64_t c = 0; c < expected.cols; ++c) {
    ASSERT_TRUE(same_bits(actual.at(actual_row, c), expected.at(expected_row, c)))
        << "row " << expected_row << " column " << c;
  }
}

}  // namespace dbrx::testing
