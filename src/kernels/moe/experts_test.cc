#include "kernels/moe/experts.h"

#include <algorithm>
#include <cfloat>
#include <numeric>

#include "kernels/moe/moe_kernels.h"
#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;
using testing::StoredMatrix;

struct Layer {
  int64_t d, ffn;
  std::vector<StoredMatrix> gates, ups, downs;
  std::vector<Expert> experts;
};

Layer make_layer(Format format, int64_t d, int64_t ffn, int64_t n_experts, std::mt19937& random) {
  Layer layer{d, ffn, {}, {}, {}, {}};
  for (int64_t e = 0; e < n_experts; ++e) {
    const bool integer = format == Format::int8 || format == Format::int4;
    const Format stored = integer ? Format::f32 : format;
    layer.gates.push_back(testing::normal_stored(stored, ffn, d, random, 0.2F));
    layer.ups.push_back(testing::normal_stored(stored, ffn, d, random, 0.2F));
    layer.downs.push_back(testing::normal_stored(stored, d, ffn, random, 0.2F));
    const auto pack = [&](StoredMatrix& m) {
      return integer ? testing::quantize(m, format) : testing::pack(m);
    };
    layer.experts.push_back(
        {pack(layer.gates.back()), pack(layer.ups.back()), pack(layer.downs.back())});
  }
  return layer;
}

struct Input {
  Input(int64_t rows, int64_t d, int64_t k) : x(rows, d), ids(rows, k), weights(rows, k) {}
  Matrix<float> x;
  Matrix<int32_t> ids;
  Matrix<float> weights;

  Input row(int64_t r) {
    Input one(1, x.cols, ids.cols);
    std::copy_n(x.view().row(r), x.cols, one.x.view().row(0));
    std::copy_n(ids.view().row(r), ids.cols, one.ids.view().row(0));
    std::copy_n(weights.view().row(r), ids.cols, one.weights.view().row(0));
    return one;
  }
};

Input make_input(int64_t rows, int64_t d, int64_t k, int64_t n_experts, std::mt19937& random) {
  Input input(rows, d, k);
  testing::fill_normal(input.x.values, random);
  testing::fill_normal(input.weights.values, random);
  std::vector<int32_t> order(static_cast<size_t>(n_experts));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t r = 0; r < rows; ++r) {
    std::shuffle(order.begin(), order.end(), random);
    std::copy_n(order.begin(), k, input.ids.view().row(r));
    std::sort(input.ids.view().row(r), input.ids.view().row(r) + k);
  }
  return input;
}

struct Output {
  Matrix<float> expert_out, y;
};

Output run(Isa isa, int n_threads, const Layer& layer, Input& input,
           Activations activations = Activations::exact) {
  Output out{Matrix<float>(input.x.rows * input.ids.cols, layer.d),
             Matrix<float>(input.x.rows, layer.d)};
  Context context(isa, n_threads);
  experts(context, {.x = input.x.view(),
                    .ids = input.ids.view(),
                    .weights = input.weights.view(),
                    .experts = layer.experts,
                    .activations = activations,
                    .expert_out = out.expert_out.view(),
                    .y = out.y.view()});
  return out;
}

class Experts : public testing::KernelTest {
 protected:
  std::mt19937 random_{11};
};

TEST_F(Experts, HaveTheSameBitsOnEveryInstructionSetAndAnyNumberOfThreads) {
  for (const Format format : {Format::f32, Format::bf16, Format::int8, Format::int4}) {
    for (const auto& [d, ffn] : {std::pair<int64_t, int64_t>{64, 96}, {33, 47}, {100, 300}}) {
      const Layer layer = make_layer(format, d, ffn, 6, random_);
      for (const int64_t rows : {1, 2, 9, 40}) {
        Input input = make_input(rows, d, 2, 6, random_);
        Output expected = run(Isa::scalar, 1, layer, input);
        for (const Isa isa : testing::runnable_isas()) {
          for (const int n_threads : {1, 2, 3, rows == 9 ? 40 : 5}) {  // 40: more than panels
            SCOPED_TRACE(::testing::Message() << isa_name(isa) << ", threads " << n_threads
                                              << ", rows " << rows << ", d " << d);
            Output out = run(isa, n_threads, layer, input);
            testing::expect_same_bits(out.expert_out, expected.expert_out);
            testing::expect_same_bits(out.y, expected.y);
          }
        }
      }
    }
  }
}

TEST_F(Experts, ARowHasTheSameBitsAloneAndInABatch) {
  for (const auto& [format, activations] : {std::pair(Format::bf16, Activations::exact),
                                            {Format::int8, Activations::exact},
                                            {Format::int4, Activations::exact},
                                            {Format::int4, Activations::fast}}) {
    const Layer layer = make_layer(format, 64, 96, 5, random_);
    Input input = make_input(150, 64, 3, 5, random_);  // more rows per expert than one tile has
    for (const Isa isa : testing::runnable_isas()) {
      Output batch = run(isa, 2, layer, input, activations);
      for (int64_t r = 0; r < 150; r += isa == Isa::scalar ? 30 : 1) {
        Input one = input.row(r);
        Output alone = run(isa, 2, layer, one, activations);
        testing::expect_same_row(alone.y, 0, batch.y, r);
      }
    }
  }
}

// What an integer product makes of a row: digits, and back.
std::vector<double> rounded_row(const float* x, int64_t n) {
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(double{x[i]}));
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) {
    out.push_back(std::nearbyint(x[i] * 32512 / largest) * largest / 32512);
  }
  return out;
}

TEST_F(Experts, OfIntegersAgreeWithDoublePrecision) {
  const int64_t d = 70, ffn = 90, k = 4, rows = 7;
  for (const Format format : {Format::int8, Format::int4}) {
    const Layer layer = make_layer(format, d, ffn, 8, random_);
    Input input = make_input(rows, d, k, 8, random_);
    Output out = run(Isa::scalar, 1, layer, input);
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<double> x = rounded_row(input.x.view().row(r), d);
      std::vector<double> y(static_cast<size_t>(d)), tolerance(static_cast<size_t>(d));
      for (int64_t j = 0; j < k; ++j) {
        const auto e = static_cast<size_t>(input.ids.at(r, j));
        std::vector<double> hidden;
        for (int64_t f = 0; f < ffn; ++f) {
          double gate = 0, up = 0;
          for (int64_t i = 0; i < d; ++i) {
            gate += x[static_cast<size_t>(i)] * layer.gates[e].at(f, i);
            up += x[static_cast<size_t>(i)] * layer.ups[e].at(f, i);
          }
          hidden.push_back(gate / (1 + std::exp(-gate)) * up);
        }
        const double largest =
            std::abs(*std::max_element(hidden.begin(), hidden.end(), [](double a, double b) {
              return std::abs(a) < std::abs(b);
            }));
        for (int64_t f = 0; f < ffn; ++f) {
          for (int64_t i = 0; i < d; ++i) {
            const double w = input.weights.at(r, j) * layer.downs[e].at(i, f);
            y[static_cast<size_t>(i)] += w * hidden[static_cast<size_t>(f)];
            // A step of the hidden row's 16 bits: it may round to either side.
            tolerance[static_cast<size_t>(i)] += std::abs(w) * largest / 32512;
          }
        }
      }
      for (int64_t i = 0; i < d; ++i) {
        EXPECT_NEAR(out.y.at(r, i), y[static_cast<size_t>(i)], tolerance[static_cast<size_t>(i)]);
      }
    }
  }
}

double as_factor(Format format, double value) {
  const auto f = static_cast<float>(value);
  return format == Format::bf16 ? bf16_to_float(float_to_bf16(f)) : f;
}

TEST_F(Experts, AgreeWithDoublePrecision) {
  for (const Format format : {Format::f32, Format::bf16}) {
    const int64_t d = 70, ffn = 90, k = 4, rows = 7;
    const Layer layer = make_layer(format, d, ffn, 8, random_);
    Input input = make_input(rows, d, k, 8, random_);
    Output out = run(Isa::scalar, 1, layer, input);
    // The inner activation is rounded to bf16 from a value that is itself slightly off, so it may
    // go to the neighbour; otherwise f32 roundings.
    const double relative = format == Format::bf16 ? 0x1p-8 : 64 * FLT_EPSILON;
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<double> y(static_cast<size_t>(d)), tolerance(static_cast<size_t>(d));
      for (int64_t j = 0; j < k; ++j) {
        const auto e = static_cast<size_t>(input.ids.at(r, j));
        const double weight = input.weights.at(r, j);
        for (int64_t f = 0; f < ffn; ++f) {
          double gate = 0, up = 0, gate_size = 0, up_size = 0;
          for (int64_t i = 0; i < d; ++i) {
            const double x = as_factor(format, input.x.at(r, i));
            gate += x * layer.gates[e].at(f, i);
            up += x * layer.ups[e].at(f, i);
            gate_size += std::abs(x * layer.gates[e].at(f, i));
            up_size += std::abs(x * layer.ups[e].at(f, i));
          }
          const double hidden = as_factor(format, gate / (1 + std::exp(-gate)) * up);
          // The slope of silu is at most 1.1.
          const double error = relative * std::abs(hidden) +
                               64 * FLT_EPSILON * (gate_size * up_size * 1.1 + std::abs(hidden));
          for (int64_t i = 0; i < d; ++i) {
            const double w = weight * layer.downs[e].at(i, f);
            y[static_cast<size_t>(i)] += w * hidden;
            tolerance[static_cast<size_t>(i)] +=
                std::abs(w) * (error + 32 * FLT_EPSILON * std::abs(hidden));
          }
        }
      }
      for (int64_t i = 0; i < d; ++i) {
        EXPECT_NEAR(out.y.at(r, i), y[static_cast<size_t>(i)], tolerance[static_cast<size_t>(i)]);
      }
    }
  }
}

TEST_F(Experts, WeighEachChoiceInAscendingOrder) {
  const Layer layer = make_layer(Format::f32, 32, 32, 4, random_);
  Input input = make_input(5, 32, 3, 4, random_);
  Output out = run(choose_isa({}), 2, layer, input);
  for (int64_t r = 0; r < 5; ++r) {
    for (int64_t i = 0; i < 32; ++i) {
      float y = 0;
      for (int64_t j = 0; j < 3; ++j) {
        y = std::fma(out.expert_out.at(r * 3 + j, i), input.weights.at(r, j), y);
      }
      EXPECT_EQ(out.y.at(r, i), y);
    }
  }
}

TEST_F(Experts, ElementwiseKernelsHaveTheBitsOfTheScalarOnes) {
  for (const int64_t n : {1, 7, 16, 17, 33, 256}) {
    std::vector<float> x(static_cast<size_t>(n)), y(static_cast<size_t>(n));
    testing::fill_normal(x, random_, 10);
    testing::fill_normal(y, random_, 10);
    std::vector<float> silu = x, scaled = y;
    moe_scalar.silu_mul(silu.data(), y.data(), n);
    moe_scalar.add_scaled(scaled.data(), x.data(), 0.3F, n);
    for (const MoeKernel* kernel : moe_kernels()) {
      if (!testing::runnable(kernel->isa)) continue;
      std::vector<float> a = x, b = y;
      kernel->silu_mul(a.data(), y.data(), n);
      kernel->add_scaled(b.data(), x.data(), 0.3F, n);
      for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_TRUE(testing::same_bits(a[i], silu[i]));
        EXPECT_TRUE(testing::same_bits(b[i], scaled[i]));
      }
    }
  }
}

}  // namespace
}  // namespace dbrx
