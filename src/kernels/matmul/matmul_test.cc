#include "kernels/matmul/matmul.h"

#include <xmmintrin.h>

#include <algorithm>
#include <cfloat>
#include <thread>
#include <vector>

#include "kernels/matmul/matmul_table.h"
#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;
using testing::StoredMatrix;

class Matmul : public testing::KernelTest {
 protected:
  std::mt19937 random_{7};
};

constexpr int64_t kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 65, 130};

constexpr Format kFormats[] = {Format::f32, Format::bf16, Format::int8, Format::int4};
constexpr Activations kActivations[] = {Activations::exact, Activations::fast};

Matrix<float> multiply(Isa isa, int n_threads, Matrix<float>& x, const Linear& weight,
                       Activations activations = Activations::exact) {
  Context context(isa, n_threads);
  Matrix<float> y(x.rows, weight.out_features);
  matmul(context, {.x = x.view(), .weight = &weight, .activations = activations, .y = y.view()});
  return y;
}

const MatmulKernel& scalar_kernel(Format format) { return pick_matmul_kernel(Isa::scalar, format); }

// All outputs of one kernel, called the way matmul() does.
Matrix<float> run_kernel(const MatmulKernel& kernel, Matrix<float>& x, const Linear& weight,
                         Activations activations = Activations::exact) {
  const int64_t digits = n_digits(weight.format, activations);
  Arena arena;
  auto packed = arena.take<std::byte>(
      static_cast<size_t>(packed_x_bytes(kernel, x.rows, weight.n_steps(), digits)));
  for (int64_t r = 0; r < x.rows; ++r) {
    kernel.pack_x({.x = x.view().row(r),
                   .n = x.cols,
                   .row = r,
                   .n_steps = weight.n_steps(),
                   .n_digits = digits,
                   .packed = packed.data()});
  }
  Matrix<float> y(x.rows, weight.out_features);
  const int64_t group = panels_per_task(x.rows, digits, 1000, 1);
  for (int64_t first = 0; first < weight.n_panels(); first += group) {
    std::vector<const std::byte*> panels;
    for (int64_t p = first; p < std::min(first + group, weight.n_panels()); ++p) {
      panels.push_back(weight.panel(p));
    }
    const int64_t column = first * kPanelOutputs;
    const int64_t n = std::min(std::ssize(panels) * kPanelOutputs, y.cols - column);
    multiply_rows(
        kernel, weight, packed.data(), x.rows, digits, panels, n,
        [&](int64_t row) { return &y.at(row, column); }, [](float* /*values*/) {});
  }
  return y;
}

void expect_kernels_agree(Matrix<float>& x, const Linear& weight,
                          Activations activations = Activations::exact) {
  Matrix<float> expected = run_kernel(scalar_kernel(weight.format), x, weight, activations);
  for (const MatmulKernel* kernel : matmul_kernels()) {
    if (kernel->format != weight.format || !testing::runnable(kernel->isa)) continue;
    SCOPED_TRACE(kernel->name);
    Matrix<float> y = run_kernel(*kernel, x, weight, activations);
    testing::expect_same_bits(y, expected);
  }
}

TEST_F(Matmul, EveryKernelHasTheBitsOfTheScalarOne) {
  for (const Format format : kFormats) {
    for (const int64_t k : {1, 2, 15, 16, 31, 32, 33, 64, 100, 289, 600}) {
      for (const int64_t n : {1, 31, 33, 64, 300}) {
        const Linear weight = testing::normal_linear(format, n, k, random_);
        for (const int64_t rows : {1, 2, 5, 16, 33}) {
          SCOPED_TRACE(::testing::Message() << rows << " rows, " << k << " x " << n);
          Matrix<float> x = testing::normal_matrix(rows, k, random_);
          expect_kernels_agree(x, weight);
          if (is_integer(weight.format)) expect_kernels_agree(x, weight, Activations::fast);
        }
      }
    }
  }
}

TEST_F(Matmul, EveryNumberOfRowsHasTheSameBits) {
  for (const Format format : kFormats) {
    const Linear weight = testing::normal_linear(format, 97, 300, random_);
    for (const int64_t rows : kRows) {
      SCOPED_TRACE(rows);
      Matrix<float> x = testing::normal_matrix(rows, 300, random_);
      expect_kernels_agree(x, weight);
    }
  }
}

// A float with any sign and mantissa and an exponent around one of some hostile places.
float hostile_float(std::mt19937& random) {
  const uint32_t exponents[] = {0,   1,   2,   20,  63,  64,  65,  100,
                                126, 127, 128, 140, 190, 191, 253, 254};
  const uint32_t exponent = exponents[random() % std::size(exponents)];
  uint32_t bits = (static_cast<uint32_t>(random()) & 0x807fffff) | exponent << 23;
  if (random() % 8 == 0) bits &= 0x80000000;
  return std::bit_cast<float>(bits);
}

// Half of the work of this test is done by AMX itself, where there is one: the bf16 arithmetic of
// all kernels is its arithmetic, also for subnormals, overflow and signs of zero.
TEST_F(Matmul, Bf16KernelsAgreeOnAMillionHostileOutputs) {
  constexpr int64_t kN = 256, kRowsAtOnce = 33;
  int64_t n_outputs = 0;
  for (int round = 0; n_outputs < 1'200'000; ++round) {
    const int64_t k = 1 + static_cast<int64_t>(random_() % 96);
    std::vector<float> values(static_cast<size_t>(kN * k));
    for (float& value : values) value = hostile_float(random_);
    const Linear weight = testing::pack(testing::store_matrix(Format::bf16, kN, k, values));
    Matrix<float> x(kRowsAtOnce, k);
    for (float& value : x.values) value = hostile_float(random_);
    SCOPED_TRACE(round);
    expect_kernels_agree(x, weight);
    if (HasFatalFailure()) return;
    n_outputs += kN * kRowsAtOnce;
  }
}

// The scalar bf16 kernel flushes by itself, whatever the mode of its thread.
void expect_scalar_without_flush(Matrix<float>& x, const Linear& weight) {
  Matrix<float> expected = run_kernel(matmul_bf16_scalar, x, weight);
  std::thread([&] {
    constexpr unsigned kDefaultMode = 0x1f80;
    _mm_setcsr(kDefaultMode);
    Matrix<float> y = run_kernel(matmul_bf16_scalar, x, weight);
    testing::expect_same_bits(y, expected);
  }).join();
}

// bf16 values whose products lie around the smallest normal float.
float near_edge(std::mt19937& random) {
  const auto bits = static_cast<uint32_t>(random());
  const uint32_t exponent = 55 + bits % 12;
  return std::bit_cast<float>((bits & 0x807f0000) | exponent << 23);
}

// Products that cancel down to the edge of the subnormal range.
TEST_F(Matmul, Bf16KernelsAgreeAtTheEdgeOfTheSubnormals) {
  constexpr int64_t kN = 256, kRowsAtOnce = 32;
  for (int round = 0; round < 60; ++round) {
    const int64_t k = 2 + static_cast<int64_t>(random_() % 62);
    std::vector<float> values(static_cast<size_t>(kN * k));
    for (float& value : values) value = near_edge(random_);
    const Linear weight = testing::pack(testing::store_matrix(Format::bf16, kN, k, values));
    Matrix<float> x(kRowsAtOnce, k);
    for (float& value : x.values) value = near_edge(random_);
    SCOPED_TRACE(round);
    expect_kernels_agree(x, weight);
    if (HasFatalFailure()) return;
  }
}

// 2^-126 minus a little: whether that is flushed depends on how the hardware rounds it before it
// looks.
TEST_F(Matmul, Bf16KernelsAgreeOnWhatIsJustSubnormal) {
  constexpr int64_t kN = 400;
  std::vector<float> values(kN * 4);
  for (int64_t o = 0; o < kN; ++o) {
    const auto mantissa = static_cast<float>(128 + o % 100);
    values[static_cast<size_t>(4 * o)] = 0x1p-63F;
    values[static_cast<size_t>(4 * o + 2)] =
        -std::ldexp(mantissa, -70 - 7 - static_cast<int>(o / 100));
  }
  const Linear weight = testing::pack(testing::store_matrix(Format::bf16, kN, 4, values));
  Matrix<float> x(2, 4);
  for (int64_t r = 0; r < 2; ++r) {
    x.at(r, 0) = r == 0 ? 0x1p-63F : -0x1p-63F;
    x.at(r, 2) = r == 0 ? 0x1p-80F : -0x1p-80F;
  }
  expect_kernels_agree(x, weight);
  Matrix<float> y = run_kernel(matmul_bf16_scalar, x, weight);
  expect_scalar_without_flush(x, weight);
  EXPECT_EQ(y.at(0, 0), 0);               // 2^-126 - 2^-150 has 24 bits: subnormal
  EXPECT_EQ(y.at(0, kN - 1), 0x1p-126F);  // much closer to 2^-126
}

TEST_F(Matmul, TheScalarBf16KernelDoesNotDependOnTheModeOfItsThread) {
  std::vector<float> values(64 * 50);
  for (float& value : values) value = near_edge(random_);
  const Linear weight = testing::pack(testing::store_matrix(Format::bf16, 64, 50, values));
  Matrix<float> x(200, 50);
  for (float& value : x.values) value = near_edge(random_);
  expect_scalar_without_flush(x, weight);
}

TEST_F(Matmul, NanAndInfinityComeOutAsSuch) {
  for (const Format format : kFormats) {
    const Linear weight = testing::normal_linear(format, 40, 70, random_);
    Matrix<float> x = testing::normal_matrix(3, 70, random_);
    x.at(0, 69) = NAN;
    x.at(1, 0) = INFINITY;
    expect_kernels_agree(x, weight);
    Matrix<float> y = multiply(choose_isa({}), 1, x, weight);
    EXPECT_TRUE(std::isnan(y.at(0, 5)));
    // An integer product has no infinity: all of its row is unknown.
    EXPECT_TRUE(is_integer(weight.format) ? std::isnan(y.at(1, 5)) : std::isinf(y.at(1, 5)));
    EXPECT_TRUE(std::isfinite(y.at(2, 5)));
  }
}

TEST_F(Matmul, ARowHasTheSameBitsAloneInABatchAndOnAnyNumberOfThreads) {
  for (const Format format : kFormats) {
    const Linear weight = testing::normal_linear(format, 330, 129, random_);
    Matrix<float> x = testing::normal_matrix(37, 129, random_);
    Matrix<float> expected = multiply(Isa::scalar, 1, x, weight);
    for (const Isa isa : testing::runnable_isas()) {
      for (const int n_threads : {1, 2, 3}) {
        SCOPED_TRACE(::testing::Message() << isa_name(isa) << ", threads " << n_threads);
        Matrix<float> y = multiply(isa, n_threads, x, weight);
        testing::expect_same_bits(y, expected);
      }
      for (int64_t row = 0; row < x.rows; ++row) {
        Matrix<float> alone(1, x.cols);
        for (int64_t c = 0; c < x.cols; ++c) alone.at(0, c) = x.at(row, c);
        Matrix<float> y = multiply(isa, 1, alone, weight);
        testing::expect_same_row(y, 0, expected, row);
      }
    }
  }
}

TEST_F(Matmul, AgreesWithDoublePrecision) {
  for (const Format format : {Format::f32, Format::bf16}) {
    const int64_t k = 777, n = 45, rows = 6;
    const StoredMatrix w = testing::normal_stored(format, n, k, random_);
    const Linear weight = testing::pack(w);
    Matrix<float> x = testing::normal_matrix(rows, k, random_);
    Matrix<float> y = multiply(Isa::scalar, 1, x, weight);
    // Each addend passes through at most this many roundings.
    const double roundings = format == Format::f32 ? k / 16.0 + 5 : 16 + 1 + k / 32.0 + 1;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t o = 0; o < n; ++o) {
        double sum = 0, magnitude = 0;
        for (int64_t i = 0; i < k; ++i) {
          float factor = x.at(r, i);
          if (format == Format::bf16) factor = bf16_to_float(float_to_bf16(factor));
          sum += static_cast<double>(factor) * w.at(o, i);
          magnitude += std::abs(static_cast<double>(factor) * w.at(o, i));
        }
        EXPECT_NEAR(y.at(r, o), sum, roundings * FLT_EPSILON / 2 * magnitude);
      }
    }
  }
}

// The sums are exact, so what is left is the rounding of x, and of the weights.
TEST_F(Matmul, IntegerProductsAgreeWithDoublePrecision) {
  const int64_t k = 777, n = 45, rows = 6;
  for (const Format format : {Format::int8, Format::int4}) {
    StoredMatrix w = testing::normal_stored(Format::f32, n, k, random_);
    const Linear weight = testing::quantize(w, format);
    Matrix<float> x = testing::normal_matrix(rows, k, random_);
    for (const Activations activations : kActivations) {
      Matrix<float> y = multiply(Isa::scalar, 1, x, weight, activations);
      const double limit = activations == Activations::exact ? 32512 : 127;
      for (int64_t r = 0; r < rows; ++r) {
        double largest = 0;
        for (int64_t i = 0; i < k; ++i) largest = std::max(largest, std::abs(double{x.at(r, i)}));
        for (int64_t o = 0; o < n; ++o) {
          double sum = 0, tolerance = 0;
          for (int64_t i = 0; i < k; ++i) {
            const double factor = w.at(o, i);
            sum += x.at(r, i) * factor;
            // Half a step of x, and a few float roundings of scales and result.
            tolerance += std::abs(factor) *
                         (largest / limit * 0.501 + std::abs(x.at(r, i)) * 4 * FLT_EPSILON);
          }
          EXPECT_NEAR(y.at(r, o), sum, tolerance);
        }
      }
    }
  }
}

// The largest digits against the largest weights, of one sign: nothing may saturate or wrap.
TEST_F(Matmul, IntegerKernelsAgreeAtTheirLimits) {
  constexpr int64_t kK = 10752, kN = 40;
  Context context(choose_isa({}), 1);
  for (const Format format : {Format::int8, Format::int4}) {
    for (const float sign : {1.0F, -1.0F}) {
      std::vector<float> values(kN * kK, sign);
      const StoredMatrix w = testing::store_matrix(Format::f32, kN, kK, values);
      const Linear weight = quantize_linear(context,
                                            {.data = w.bytes.data(),
                                             .format = Format::f32,
                                             .out_features = kN,
                                             .in_features = kK,
                                             .out_stride = kK},
                                            format);
      Matrix<float> x(3, kK);
      for (int64_t i = 0; i < kK; ++i) {
        x.at(0, i) = 1;
        x.at(1, i) = -1;
        x.at(2, i) = i == 0 ? 1.0F : 128.0F / 32512;  // low digits of -128
      }
      for (const Activations activations : kActivations) {
        expect_kernels_agree(x, weight, activations);
      }
      Matrix<float> y = multiply(Isa::scalar, 1, x, weight);
      EXPECT_NEAR(y.at(0, 39), sign * kK, 1e-2);
      EXPECT_NEAR(y.at(1, 39), -sign * kK, 1e-2);
    }
  }
}

TEST_F(Matmul, ARowOfAlmostNothingIsZeroForIntegerProducts) {
  const Linear weight = testing::normal_linear(Format::int4, 40, 70, random_);
  Matrix<float> x(2, 70);
  for (int64_t i = 0; i < 70; ++i) x.at(1, i) = 0x1p-120F;
  expect_kernels_agree(x, weight);
  Matrix<float> y = multiply(Isa::scalar, 1, x, weight);
  EXPECT_EQ(y.at(0, 3), 0);
  EXPECT_EQ(y.at(1, 3), 0);
}

TEST_F(Matmul, NoRowsIsNoWork) {
  const Linear weight = testing::pack(testing::normal_stored(Format::bf16, 33, 40, random_));
  Matrix<float> x(0, 40);
  EXPECT_EQ(multiply(choose_isa({}), 2, x, weight).rows, 0);
}

}  // namespace
}  // namespace dbrx
