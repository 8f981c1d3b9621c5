#include "kernels/attention/attention.h"

#include <algorithm>
#include <cfloat>

#include "kernels/attention/attention_testing.h"

namespace dbrx {
namespace {

using testing::AttentionShape;
using testing::kKvFormats;
using testing::Matrix;

constexpr AttentionShape kShapes[] = {{6, 2, 16}, {4, 4, 10}, {6, 2, 34}, {10, 1, 64}, {6, 1, 128}};

// One sequence: its q, k and v, and a cache whose blocks are in random order.
struct Sequence {
  Sequence(Format format, const AttentionShape& shape, int64_t n_tokens, std::mt19937& random,
           float stale = 0)
      : shape(shape),
        n_tokens(n_tokens),
        q(testing::normal_matrix(n_tokens, shape.n_heads * shape.head_dim, random)),
        k(testing::normal_matrix(n_tokens, shape.n_kv_heads * shape.head_dim, random)),
        v(testing::normal_matrix(n_tokens, shape.n_kv_heads * shape.head_dim, random)),
        blocks(testing::shuffled_blocks(n_tokens / kKvBlockTokens + 2, random)),
        cache(format, shape, n_tokens / kKvBlockTokens + 2, stale) {}

  void write(Context& context, int64_t first, int64_t n) {
    const std::vector<int64_t> slots = testing::slots_of(blocks, first, n);
    write_kv(context, {.k = k.view().rows_from(first, n),
                       .v = v.view().rows_from(first, n),
                       .slots = slots,
                       .cache = cache.view()});
  }

  AttentionShape shape;
  int64_t n_tokens;
  Matrix<float> q, k, v;
  std::vector<int32_t> blocks;
  testing::PagedCache cache;
};

// Writes and attends in chunks of `chunk` tokens.
Matrix<float> run(Isa isa, int n_threads, Sequence& s, int64_t chunk) {
  Context context(isa, n_threads);
  Matrix<float> out(s.n_tokens, s.q.cols);
  for (int64_t first = 0; first < s.n_tokens; first += chunk) {
    const int64_t n = std::min(chunk, s.n_tokens - first);
    s.write(context, first, n);
    const AttentionSpan span = {.n_rows = n, .n_past = first, .blocks = s.blocks};
    attention(context, {.q = s.q.view().rows_from(first, n),
                        .n_heads = s.shape.n_heads,
                        .scale = s.shape.scale(),
                        .spans = {&span, 1},
                        .cache = s.cache.view(),
                        .out = out.view().rows_from(first, n)});
  }
  return out;
}

class Attention : public testing::KernelTest {
 protected:
  std::mt19937 random_{13};
};

TEST_F(Attention, HasTheSameBitsOnEveryInstructionSetAndAnyNumberOfThreads) {
  for (const Format format : kKvFormats) {
    for (const AttentionShape& shape : kShapes) {
      Sequence s(format, shape, 150, random_);
      Matrix<float> expected = run(Isa::scalar, 1, s, 150);
      for (const Isa isa : testing::runnable_isas()) {
        for (const int n_threads : {1, 2, 3}) {
          if (isa == Isa::scalar && n_threads != 2) continue;  // it is slow
          SCOPED_TRACE(::testing::Message() << isa_name(isa) << ", head_dim " << shape.head_dim
                                            << ", threads " << n_threads);
          Matrix<float> out = run(isa, n_threads, s, 150);
          testing::expect_same_bits(out, expected);
        }
      }
    }
  }
}

TEST_F(Attention, SplitsOfALongSequenceMergeToTheSameBits) {
  for (const Format format : kKvFormats) {
    Sequence s(format, {6, 1, 32}, 700, random_);
    Matrix<float> expected = run(Isa::scalar, 1, s, 700);
    for (const Isa isa : testing::runnable_isas()) {
      Matrix<float> out = run(isa, 2, s, 700);
      testing::expect_same_bits(out, expected);
    }
  }
}

TEST_F(Attention, ChunkingDoesNotChangeABit) {
  for (const Format format : kKvFormats) {
    Sequence s(format, {6, 2, 16}, 300, random_);
    Matrix<float> expected = run(choose_isa({}), 1, s, 300);
    for (const int64_t chunk : {1, 7, 64, 100}) {
      SCOPED_TRACE(chunk);
      Sequence fresh = s;
      for (std::vector<std::byte>* bytes : {&fresh.cache.keys, &fresh.cache.values}) {
        std::fill(bytes->begin(), bytes->end(), std::byte{0});
      }
      Matrix<float> out = run(choose_isa({}), 2, fresh, chunk);
      testing::expect_same_bits(out, expected);
    }
  }
}

TEST_F(Attention, WhatLaterSlotsHoldDoesNotMatter) {
  for (const Format format : kKvFormats) {
    for (const Isa isa : testing::runnable_isas()) {
      std::mt19937 first_seed(1), second_seed(1);
      Sequence clean(format, {6, 2, 34}, 71, first_seed);
      Sequence stale(format, {6, 2, 34}, 71, second_seed, NAN);
      Matrix<float> expected = run(isa, 1, clean, 1);
      Matrix<float> out = run(isa, 1, stale, 1);
      testing::expect_same_bits(out, expected);
      for (const float value : out.values) ASSERT_FALSE(std::isnan(value));
    }
  }
}

TEST_F(Attention, SequencesOfABatchDoNotSeeEachOther) {
  const AttentionShape shape = {6, 2, 16};
  Sequence s(Format::bf16, shape, 90, random_);
  Matrix<float> expected = run(choose_isa({}), 1, s, 90);
  // The same cached sequence as three spans in another order: rows 80..89, 0..4, 50.
  const std::vector<AttentionSpan> spans = {
      {.first_row = 6, .n_rows = 10, .n_past = 80, .blocks = s.blocks},
      {.first_row = 1, .n_rows = 5, .n_past = 0, .blocks = s.blocks},
      {.first_row = 0, .n_rows = 1, .n_past = 50, .blocks = s.blocks},
  };
  Matrix<float> q(16, s.q.cols), out(16, s.q.cols);
  for (const AttentionSpan& span : spans) {
    for (int64_t i = 0; i < span.n_rows; ++i) {
      std::copy_n(s.q.view().row(span.n_past + i), q.cols, q.view().row(span.first_row + i));
    }
  }
  Context context(choose_isa({}), 2);
  attention(context, {.q = q.view(),
                      .n_heads = shape.n_heads,
                      .scale = s.shape.scale(),
                      .spans = spans,
                      .cache = s.cache.view(),
                      .out = out.view()});
  for (const AttentionSpan& span : spans) {
    for (int64_t i = 0; i < span.n_rows; ++i) {
      testing::expect_same_row(out, span.first_row + i, expected, span.n_past + i);
    }
  }
}

TEST_F(Attention, AgreesWithDoublePrecision) {
  for (const Format format : {Format::f32, Format::bf16}) {
    const auto as_factor = [&](float x) -> double {
      return format == Format::bf16 ? bf16_to_float(float_to_bf16(x)) : x;
    };
    const AttentionShape shape = {6, 2, 16};
    Sequence s(format, shape, 330, random_);
    Matrix<float> out = run(Isa::scalar, 1, s, 330);
    const int64_t dim = shape.head_dim;
    for (const int64_t row : {0, 1, 63, 64, 200, 256, 329}) {
      for (int64_t h = 0; h < shape.n_heads; ++h) {
        const int64_t g = h / (shape.n_heads / shape.n_kv_heads);
        std::vector<double> scores, exact(static_cast<size_t>(dim)), size(static_cast<size_t>(dim));
        double max = -INFINITY, sum = 0;
        for (int64_t t = 0; t <= row; ++t) {
          double score = 0;
          for (int64_t i = 0; i < dim; ++i) {
            score += as_factor(s.q.at(row, h * dim + i)) * as_factor(s.k.at(t, g * dim + i));
          }
          scores.push_back(score * s.shape.scale());
          max = std::max(max, scores.back());
        }
        for (int64_t t = 0; t <= row; ++t) {
          const double p = std::exp(scores[static_cast<size_t>(t)] - max);
          sum += p;
          for (int64_t i = 0; i < dim; ++i) {
            const double v = as_factor(s.v.at(t, g * dim + i));
            exact[static_cast<size_t>(i)] += p * v;
            size[static_cast<size_t>(i)] += p * std::abs(v);
          }
        }
        // Scores are below 8, so their f32 errors of some 2^-21 are as much relative error of p.
        // With a bf16 cache each p is off by up to 2^-9, in both the sum and the products.
        const double relative = 64 * FLT_EPSILON + (format == Format::bf16 ? 0x1p-8 : 0);
        for (int64_t i = 0; i < dim; ++i) {
          const auto c = static_cast<size_t>(i);
          EXPECT_NEAR(out.at(row, h * dim + i), exact[c] / sum,
                      relative * (size[c] + std::abs(exact[c])) / sum);
        }
      }
    }
  }
}

TEST_F(Attention, EqualValuesComeOutExactly) {
  // The weights add up to one: they are summed as they were rounded.
  Sequence s(Format::bf16, {2, 1, 16}, 100, random_);
  for (float& value : s.v.values) value = 1.5F;
  Matrix<float> out = run(choose_isa({}), 1, s, 100);
  for (int64_t r = 0; r < out.rows; ++r) {
    for (int64_t c = 0; c < out.cols; ++c) EXPECT_NEAR(out.at(r, c), 1.5F, 100 * FLT_EPSILON);
  }
}

TEST_F(Attention, AFutureTokenIsNotSeen) {
  Sequence s(Format::f32, {2, 1, 16}, 40, random_);
  Matrix<float> before = run(choose_isa({}), 1, s, 40);
  for (int64_t c = 0; c < s.v.cols; ++c) s.v.at(39, c) = s.k.at(39, c) = 100;
  Matrix<float> after = run(choose_isa({}), 1, s, 40);
  for (int64_t r = 0; r < 39; ++r) testing::expect_same_row(after, r, before, r);
  EXPECT_NE(after.at(39, 0), before.at(39, 0));
}

}  // namespace
}  // namespace dbrx
