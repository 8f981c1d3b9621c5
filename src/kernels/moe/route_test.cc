#include "kernels/moe/route.h"

#include <algorithm>
#include <cfloat>
#include <numeric>

#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::Matrix;

struct Routing {
  Routing(int64_t rows, int64_t n_experts, int64_t k)
      : probs(rows, n_experts), ids(rows, k), weights(rows, k) {}
  Matrix<float> probs;
  Matrix<int32_t> ids;
  Matrix<float> weights;
};

Routing route_all(Matrix<float>& logits, int64_t k, float norm_p, int n_threads = 1) {
  flush_denormals();
  Routing out(logits.rows, logits.cols, k);
  Context context(Isa::scalar, n_threads);
  route(context, {.logits = logits.view(),
                  .norm_p = norm_p,
                  .probs = out.probs.view(),
                  .ids = out.ids.view(),
                  .weights = out.weights.view()});
  return out;
}

Matrix<float> one_row(const std::vector<float>& values) {
  Matrix<float> m(1, static_cast<int64_t>(values.size()));
  std::copy(values.begin(), values.end(), m.values.begin());
  return m;
}

TEST(Route, AgreesWithDoublePrecisionForEveryNorm) {
  std::mt19937 random(1);
  for (const float norm_p : {0.0F, 1.0F, 2.0F}) {
    Matrix<float> logits = testing::normal_matrix(9, 16, random);
    Routing out = route_all(logits, 4, norm_p, 2);
    for (int64_t r = 0; r < 9; ++r) {
      std::vector<double> p(16);
      double sum = 0;
      for (int64_t e = 0; e < 16; ++e) sum += p[static_cast<size_t>(e)] = std::exp(logits.at(r, e));
      for (double& value : p) value /= sum;
      std::vector<int32_t> order(16);
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(),
                [&](int32_t a, int32_t b) { return p[size_t(a)] > p[size_t(b)]; });
      order.resize(4);
      std::sort(order.begin(), order.end());
      double norm = 0;
      for (const int32_t e : order) norm += std::pow(p[static_cast<size_t>(e)], norm_p);
      norm = norm_p == 0 ? 1 : std::pow(norm, 1 / norm_p);
      for (int64_t j = 0; j < 4; ++j) {
        const int32_t e = order[static_cast<size_t>(j)];
        EXPECT_EQ(out.ids.at(r, j), e);
        const double exact = p[static_cast<size_t>(e)] / norm;
        // exp 2, the subtraction up to 4 (logits below 4), sums 16 + 4, divisions 2.
        EXPECT_NEAR(out.weights.at(r, j), exact, 30 * FLT_EPSILON * exact);
      }
      for (int64_t e = 0; e < 16; ++e) {
        EXPECT_NEAR(out.probs.at(r, e), p[static_cast<size_t>(e)],
                    25 * FLT_EPSILON * p[static_cast<size_t>(e)]);
      }
    }
  }
}

TEST(Route, TheLowerIndexWinsATie) {
  Matrix<float> logits = one_row({1, 3, 2, 3, 2, 2});
  Routing out = route_all(logits, 3, 1);
  EXPECT_EQ(out.ids.at(0, 0), 1);
  EXPECT_EQ(out.ids.at(0, 1), 2);
  EXPECT_EQ(out.ids.at(0, 2), 3);
}

TEST(Route, EqualLogitsChooseTheFirstExpertsWithEqualWeights) {
  Matrix<float> logits = one_row(std::vector<float>(16, 0.5F));
  Routing out = route_all(logits, 4, 1);
  for (int64_t j = 0; j < 4; ++j) {
    EXPECT_EQ(out.ids.at(0, j), j);
    EXPECT_EQ(out.weights.at(0, j), 0.25F);
  }
}

TEST(Route, NanStillGivesDifferentExpertsInOrder) {
  Matrix<float> logits = one_row({NAN, 1, NAN, 2});
  Routing out = route_all(logits, 3, 1);
  for (int64_t j = 0; j < 3; ++j) {
    EXPECT_GE(out.ids.at(0, j), 0);
    EXPECT_LT(out.ids.at(0, j), 4);
    if (j > 0) {
      EXPECT_LT(out.ids.at(0, j - 1), out.ids.at(0, j));
    }
  }
}

TEST(Route, AllExpertsCanBeChosen) {
  Matrix<float> logits = one_row({2, -1, 0.5F});
  Routing out = route_all(logits, 3, 1);
  float sum = 0;
  for (int64_t j = 0; j < 3; ++j) {
    EXPECT_EQ(out.ids.at(0, j), j);
    sum += out.weights.at(0, j);
  }
  EXPECT_NEAR(sum, 1, 4 * FLT_EPSILON);
}

}  // namespace
}  // namespace dbrx
