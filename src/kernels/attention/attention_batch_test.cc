// Batches of several sequences, at the borders of blocks and splits: the bits of the scalar kernel
// on every instruction set, with any number of threads, however the work is cut.
#include "kernels/attention/attention_testing.h"

namespace dbrx {
namespace {

using testing::AttentionShape;
using testing::Matrix;
using testing::PagedCache;

struct Chunk {
  int64_t past, rows;
};

// Sequences whose keys and values go on for some tokens after their rows: these are not to be seen.
struct BatchCase {
  static constexpr int64_t kLater = 3;

  BatchCase(Format format, const AttentionShape& shape, const std::vector<Chunk>& chunks,
            std::mt19937& random)
      : shape(shape),
        cache(format, shape, n_blocks(chunks), NAN),
        blocks(testing::shuffled_blocks(n_blocks(chunks), random)),
        q(testing::normal_matrix(n_rows(chunks), shape.n_heads * shape.head_dim, random)) {
    const int64_t kv_dim = shape.n_kv_heads * shape.head_dim;
    Context context(Isa::scalar, 1);
    int64_t first_row = 0;
    size_t first_block = 0;
    for (const Chunk& chunk : chunks) {
      const int64_t n = chunk.past + chunk.rows;
      const auto held = static_cast<size_t>(blocks_of(chunk));
      const std::span<const int32_t> own = std::span(blocks).subspan(first_block, held);
      spans.push_back(
          {.first_row = first_row, .n_rows = chunk.rows, .n_past = chunk.past, .blocks = own});
      Matrix<float> k = testing::normal_matrix(n + kLater, kv_dim, random);
      Matrix<float> v = testing::normal_matrix(n + kLater, kv_dim, random);
      for (int64_t c = 0; c < kv_dim; ++c) k.at(n + 1, c) = v.at(n + 1, c) = INFINITY;
      const std::vector<int64_t> slots = testing::slots_of(own, 0, n + kLater);
      write_kv(context, {.k = k.view(), .v = v.view(), .slots = slots, .cache = cache.view()});
      first_row += chunk.rows;
      first_block += held;
    }
  }

  static int64_t blocks_of(const Chunk& chunk) {
    return (chunk.past + chunk.rows + kLater + kKvBlockTokens - 1) / kKvBlockTokens;
  }
  static int64_t n_blocks(const std::vector<Chunk>& chunks) {
    int64_t n = 0;
    for (const Chunk& chunk : chunks) n += blocks_of(chunk);
    return n;
  }
  static int64_t n_rows(const std::vector<Chunk>& chunks) {
    int64_t n = 0;
    for (const Chunk& chunk : chunks) n += chunk.rows;
    return n;
  }

  void run(Context& context, Matrix<float>& out) {
    attention(context, {.q = q.view(),
                        .n_heads = shape.n_heads,
                        .scale = shape.scale(),
                        .spans = spans,
                        .cache = cache.view(),
                        .out = out.view()});
  }

  Matrix<float> run(Isa isa, int n_threads) {
    Context context(isa, n_threads);
    Matrix<float> out(q.rows, q.cols);
    run(context, out);
    return out;
  }

  AttentionShape shape;
  PagedCache cache;
  std::vector<int32_t> blocks;
  Matrix<float> q;
  std::vector<AttentionSpan> spans;
};

void expect_scalar_bits(BatchCase& batch) {
  Matrix<float> expected = batch.run(Isa::scalar, 1);
  for (const float value : expected.values) ASSERT_TRUE(std::isfinite(value));
  for (const Isa isa : testing::runnable_isas()) {
    for (const int n_threads : {1, 2, 7}) {
      SCOPED_TRACE(::testing::Message() << isa_name(isa) << ", threads " << n_threads);
      Matrix<float> out = batch.run(isa, n_threads);
      testing::expect_same_bits(out, expected);
    }
  }
}

class AttentionBatch : public testing::KernelTest {
 protected:
  std::mt19937 random_{29};
};

TEST_F(AttentionBatch, DecodeAtTheBordersOfSplitsHasTheBitsOfTheScalarKernel) {
  for (const Format format : testing::kKvFormats) {
    BatchCase batch(format, {12, 2, 32},
                    {{0, 1}, {62, 1}, {63, 1}, {64, 1}, {254, 1}, {255, 1}, {256, 1}, {1000, 1}},
                    random_);
    expect_scalar_bits(batch);
  }
}

TEST_F(AttentionBatch, ChunksAtTheBordersOfSplitsHaveTheBitsOfTheScalarKernel) {
  for (const Format format : testing::kKvFormats) {
    BatchCase batch(format, {12, 2, 32}, {{0, 70}, {255, 3}, {256, 33}, {190, 66}, {1000, 2}},
                    random_);
    expect_scalar_bits(batch);
  }
}

TEST_F(AttentionBatch, EveryShapeHasTheBitsOfTheScalarKernel) {
  for (const Format format : testing::kKvFormats) {
    for (const AttentionShape& shape : {AttentionShape{1, 1, 256},
                                        {6, 1, 200},
                                        {8, 1, 48},
                                        {4, 4, 10},
                                        {6, 2, 34},
                                        {10, 1, 64},
                                        {100, 1, 18},
                                        {48, 8, 128}}) {
      SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim << ", "
                                        << shape.n_kv_heads << " key/value heads");
      BatchCase batch(format, shape, {{0, 17}, {100, 1}, {60, 5}}, random_);
      expect_scalar_bits(batch);
    }
  }
}

TEST_F(AttentionBatch, RandomBatchesHaveTheBitsOfTheScalarKernel) {
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random_() % static_cast<uint32_t>(n));
  };
  for (int round = 0; round < 12; ++round) {
    const int64_t group = std::array{1, 2, 6, 8}[static_cast<size_t>(below(4))];
    const int64_t kv_heads = 1 + below(3);
    const AttentionShape shape = {group * kv_heads, kv_heads, 16 + 2 * below(40)};
    std::vector<Chunk> chunks;
    for (int64_t i = 0; i <= below(4); ++i) {
      chunks.push_back({.past = below(2) * below(500), .rows = 1 + below(2) * below(70)});
    }
    SCOPED_TRACE(::testing::Message() << "round " << round);
    BatchCase batch(testing::kKvFormats[below(std::ssize(testing::kKvFormats))], shape, chunks,
                    random_);
    expect_scalar_bits(batch);
  }
}

TEST_F(AttentionBatch, AWarmCallTakesNoMoreMemory) {
  for (const Format format : testing::kKvFormats) {
    BatchCase batch(format, {6, 1, 32}, {{1000, 1}, {10, 20}}, random_);
    Context context(choose_isa({}), 4);
    Matrix<float> out(batch.q.rows, batch.q.cols);
    batch.run(context, out);
    const size_t capacity = context.arena.capacity_bytes();
    batch.run(context, out);
    EXPECT_EQ(context.arena.capacity_bytes(), capacity);
  }
}

}  // namespace
}  // namespace dbrx
