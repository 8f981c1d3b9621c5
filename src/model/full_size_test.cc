// One layer of DBRX at its real size, with random weights of every format: each instruction set and
// number of threads gives the bits of the scalar kernels, at odd numbers of rows. Sizes of tests
// are small elsewhere; here tiles, chunks of K and shares of threads are the real ones.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "model/kv_cache.h"
#include "model/synthetic.h"
#include "model/synthetic_routing.h"

namespace dbrx {
namespace {

constexpr int64_t kVocab = 500;  // not a multiple of a panel

std::unique_ptr<Model> one_layer(Format experts, Activations activations) {
  Context context(detect_isa(), available_cpus());
  const ModelConfig config = dbrx_geometry(1, kVocab);
  return synthetic_dbrx(context, {.config = config,
                                  .experts = experts,
                                  .dense = is_integer(experts) ? Format::int8 : experts,
                                  .activations = activations,
                                  .routing = zipf_routing(config, 0, 1)});
}

// A chunk of n tokens after n_past others (whose cache is zero), and two sequences of one.
Batch mixed_batch(int64_t n) {
  Batch batch;
  const auto add = [&](int64_t n_rows, int64_t n_past, std::vector<int32_t> blocks) {
    batch.spans.push_back({.first_row = batch.n_rows(),
                           .n_rows = n_rows,
                           .n_past = n_past,
                           .blocks = std::move(blocks)});
    for (int64_t i = 0; i < n_rows; ++i) {
      batch.tokens.push_back(static_cast<int32_t>((batch.n_rows() * 37 + 11) % kVocab));
      batch.positions.push_back(static_cast<int32_t>(n_past + i));
    }
    batch.logit_rows.push_back(static_cast<int32_t>(batch.n_rows() - 1));
  };
  add(n, 61, {0, 1});
  add(1, 0, {2});
  add(1, 5, {3});
  return batch;
}

std::vector<float> logits(Model& model, const Batch& batch, Isa isa, int n_threads) {
  Context context(isa, n_threads);
  KvCache cache(model.config(), Format::bf16, 4);
  StepOutput output;
  EXPECT_EQ(model.forward(context, batch, cache, output), StepResult::ok);
  return output.logits;
}

void expect_same_bits(Format experts, Activations activations, int64_t n) {
  flush_denormals();
  const std::unique_ptr<Model> model = one_layer(experts, activations);
  const Batch batch = mixed_batch(n);
  const std::vector<float> expected = logits(*model, batch, Isa::scalar, available_cpus());
  for (int i = 1; i <= static_cast<int>(detect_isa()); ++i) {
    for (const int n_threads : {1, 3}) {
      SCOPED_TRACE(std::string(isa_name(static_cast<Isa>(i))) + ", " + std::to_string(n_threads) +
                   " threads");
      const std::vector<float> actual = logits(*model, batch, static_cast<Isa>(i), n_threads);
      ASSERT_EQ(actual.size(), expected.size());
      EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0);
    }
  }
}

TEST(FullSize, Int4ExactHasTheBitsOfScalar) {
  expect_same_bits(Format::int4, Activations::exact, 5);
}

TEST(FullSize, Int4FastHasTheBitsOfScalar) {
  expect_same_bits(Format::int4, Activations::fast, 11);
}

TEST(FullSize, Int8HasTheBitsOfScalar) { expect_same_bits(Format::int8, Activations::exact, 3); }

TEST(FullSize, Bf16HasTheBitsOfScalar) { expect_same_bits(Format::bf16, Activations::exact, 1); }

}  // namespace
}  // namespace dbrx
