// The int8 cache against double precision, and at its edges.
#include <cfloat>

#include "kernels/attention/attention_testing.h"

namespace dbrx {
namespace {

using testing::AttentionShape;
using testing::Matrix;

constexpr AttentionShape kShape = {6, 2, 20};
constexpr int64_t kGroup = 3;

// What a row of one head becomes in the cache.
struct Stored {
  std::vector<double> values;
  double scale = 0;
};

Stored store(Matrix<float>& m, int64_t token, int64_t head) {
  float largest = 0;
  for (int64_t i = 0; i < kShape.head_dim; ++i) {
    largest = std::max(largest, std::abs(m.at(token, head * kShape.head_dim + i)));
  }
  Stored stored{.values = {}, .scale = largest / 127.0F};
  for (int64_t i = 0; i < kShape.head_dim; ++i) {
    const double x = m.at(token, head * kShape.head_dim + i);
    stored.values.push_back(std::nearbyint(x * (127.0F / largest)) * stored.scale);
  }
  return stored;
}

struct Sequence {
  Sequence(int64_t n, std::mt19937& random)
      : q(testing::normal_matrix(n, kShape.n_heads * kShape.head_dim, random)),
        k(testing::normal_matrix(n, kShape.n_kv_heads * kShape.head_dim, random)),
        v(testing::normal_matrix(n, kShape.n_kv_heads * kShape.head_dim, random)),
        blocks(testing::shuffled_blocks(n / kKvBlockTokens + 1, random)) {}

  Matrix<float> run(Isa isa) {
    testing::PagedCache cache(Format::int8, kShape, std::ssize(blocks));
    Context context(isa, 2);
    write_kv(context, {.k = k.view(),
                       .v = v.view(),
                       .slots = testing::slots_of(blocks, 0, k.rows),
                       .cache = cache.view()});
    Matrix<float> out(q.rows, q.cols);
    const AttentionSpan span = {.n_rows = q.rows, .blocks = blocks};
    attention(context, {.q = q.view(),
                        .n_heads = kShape.n_heads,
                        .scale = kShape.scale(),
                        .spans = {&span, 1},
                        .cache = cache.view(),
                        .out = out.view()});
    return out;
  }

  Matrix<float> q, k, v;
  std::vector<int32_t> blocks;
};

// Checks one query head of one row. Errors: of q, half its unit times |k| in each score, so that
// much relative error of each p; of a block's weights, half their unit times |v|; and those of f32.
void check_query(Sequence& s, Matrix<float>& out, int64_t row, int64_t head) {
  const int64_t dim = kShape.head_dim, kv_head = head / kGroup;
  double q_top = 0;
  for (int64_t i = 0; i < dim; ++i) {
    q_top = std::max(q_top, std::abs(double{s.q.at(row, head * dim + i)}));
  }
  std::vector<double> scores;
  double max = -INFINITY, score_error = 0;
  for (int64_t t = 0; t <= row; ++t) {
    const Stored k = store(s.k, t, kv_head);
    double dot = 0, size = 0;
    for (int64_t i = 0; i < dim; ++i) {
      dot += s.q.at(row, head * dim + i) * k.values[static_cast<size_t>(i)];
      size += std::abs(k.values[static_cast<size_t>(i)]);
    }
    scores.push_back(dot * kShape.scale());
    max = std::max(max, scores.back());
    score_error = std::max(score_error, size * kShape.scale() * q_top / 32512 / 2);
  }
  double sum = 0;
  const auto n = static_cast<size_t>(dim);
  std::vector<double> exact(n), size(n), rounding(n), integers(n);
  double top_weight = 0;
  for (int64_t t = 0; t <= row; ++t) {
    const Stored v = store(s.v, t, kv_head);
    const double p = std::exp(scores[static_cast<size_t>(t)] - max);
    sum += p;
    top_weight = std::max(top_weight, p * v.scale);
    for (size_t i = 0; i < n; ++i) {
      exact[i] += p * v.values[i];
      size[i] += p * std::abs(v.values[i]);
      integers[i] += std::abs(v.values[i]) / v.scale;
    }
    if ((t + 1) % kKvBlockTokens != 0 && t != row) continue;
    for (size_t i = 0; i < n; ++i) {
      rounding[i] += top_weight / 32512 / 2 * integers[i];
      integers[i] = 0;
    }
    top_weight = 0;
  }
  const double relative = 64 * FLT_EPSILON + score_error * (1 + score_error);
  for (size_t i = 0; i < n; ++i) {
    const double bound = relative * (size[i] + std::abs(exact[i])) + 1.01 * rounding[i];
    EXPECT_NEAR(out.at(row, head * dim + static_cast<int64_t>(i)), exact[i] / sum, bound / sum);
  }
}

class Int8Attention : public testing::KernelTest {
 protected:
  std::mt19937 random_{31};
};

TEST_F(Int8Attention, AgreesWithDoublePrecision) {
  Sequence s(330, random_);
  Matrix<float> out = s.run(Isa::scalar);
  for (const int64_t row : {0, 1, 63, 64, 200, 256, 329}) {
    for (int64_t head = 0; head < kShape.n_heads; ++head) check_query(s, out, row, head);
  }
}

TEST_F(Int8Attention, AQueryOfZerosTakesTheMeanAndZerosStayZeros) {
  Sequence s(70, random_);
  for (float& x : s.q.values) x = 0;
  for (float& x : s.v.values) x = 1;
  for (int64_t t = 0; t < 35; ++t) {
    for (int64_t c = 0; c < s.v.cols; ++c) s.v.at(2 * t, c) = 0;
  }
  for (const Isa isa : testing::runnable_isas()) {
    Matrix<float> out = s.run(isa);
    EXPECT_EQ(out.at(0, 0), 0);
    for (int64_t c = 0; c < out.cols; ++c) EXPECT_NEAR(out.at(69, c), 0.5, 8 * FLT_EPSILON);
  }
}

TEST_F(Int8Attention, ATokenWithoutNumbersIsNanToThoseWhoSeeIt) {
  for (const float bad : {INFINITY, NAN}) {
    Sequence s(90, random_);
    s.k.at(40, 0) = bad;                    // seen by the heads of key/value head 0
    s.v.at(80, kShape.head_dim + 3) = bad;  // and by those of head 1
    for (const Isa isa : testing::runnable_isas()) {
      Matrix<float> out = s.run(isa);
      const int64_t second = kGroup * kShape.head_dim;
      for (int64_t c = 0; c < out.cols; ++c) {
        const int64_t first_bad = c < second ? 40 : 80;
        EXPECT_FALSE(std::isnan(out.at(first_bad - 1, c)));
        EXPECT_TRUE(std::isnan(out.at(first_bad, c)));
        EXPECT_TRUE(std::isnan(out.at(89, c)));
      }
    }
  }
}

TEST_F(Int8Attention, TakesHalfTheMemoryOfBf16) {
  EXPECT_EQ(kv_head_bytes(Format::bf16, 128), 64 * 256);
  EXPECT_EQ(kv_head_bytes(Format::int8, 128), 64 * 132);
}

}  // namespace
}  // namespace dbrx
