#include "model/memory_plan.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "model/kv_cache.h"
#include "model/synthetic.h"

namespace dbrx {
namespace {

constexpr int64_t kGiga = 1'000'000'000;

// DBRX in int4 with the flags' defaults.
MemoryDemand demand(int64_t available) {
  return {.available = available,
          .weights = 70 * kGiga,
          .mapped = true,
          .queue = 1024,
          .requests = 64 << 20,
          .step = {.rows = 512,
                   .sequences = 64,
                   .context = 32768,
                   .n_threads = 32,
                   .integer_weights = true}};
}

ModelConfig dbrx() { return dbrx_geometry(/*n_layers=*/40, /*vocab_size=*/100352); }

std::string error_of(const MemoryDemand& what) {
  try {
    plan_memory(dbrx(), what);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::resource_exhausted);
    return error.what();
  }
  return "no error";
}

TEST(MemoryPlan, TheDefaultCacheTakesAFifthOfALargeMachineAndFitsASmallOne) {
  const MemoryPlan large = plan_memory(dbrx(), demand(1000 * kGiga));
  EXPECT_TRUE(large.weights_fit);
  EXPECT_NEAR(static_cast<double>(large.cache), 200e9, 1e8);
  EXPECT_EQ(large.cache, large.cache_tokens * KvCache::bytes_per_token(dbrx(), Format::bf16));
  // A fifth would not fit beside the weights.
  const MemoryPlan small = plan_memory(dbrx(), demand(85 * kGiga));
  EXPECT_TRUE(small.weights_fit);
  EXPECT_LE(small.total(), 85 * kGiga);
  EXPECT_GT(small.total(), 84 * kGiga);
  EXPECT_GE(small.cache_tokens, 32768);
}

TEST(MemoryPlan, TheDefaultCacheHasNoMoreThanEverySequenceAtFullLength) {
  MemoryDemand what = demand(1000 * kGiga);
  what.step.context = 2048;
  EXPECT_EQ(plan_memory(dbrx(), what).cache_tokens, 64 * 2048);
}

TEST(MemoryPlan, ACacheThatDoesNotFitIsRefusedWithTheSum) {
  MemoryDemand what = demand(100 * kGiga);
  what.cache_tokens = 1 << 20;
  const std::string error = error_of(what);
  for (const char* part : {"of 100.00 GB", "weights 70.00", "KV cache 171.80 (1048576 tokens)",
                           "scratch", "--kv-cache-tokens"}) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  }
  what.cache_tokens = 65536;
  EXPECT_EQ(plan_memory(dbrx(), what).cache_tokens, 65536);
}

// Mapped weights may be read from the disk again and again, which is slow and said; copies and what
// steps need may not.
TEST(MemoryPlan, WeightsThatDoNotFitAreRefusedUnlessTheyAreMapped) {
  MemoryDemand what = demand(64 * kGiga);
  EXPECT_FALSE(plan_memory(dbrx(), what).weights_fit);
  EXPECT_LT(plan_memory(dbrx(), what).cache, 6 * kGiga);
  what.mapped = false;
  EXPECT_NE(error_of(what).find("of 64.00 GB: weights 70.00"), std::string::npos);
  EXPECT_NE(error_of(demand(4 * kGiga)).find("of 4.00 GB"), std::string::npos);
}

}  // namespace
}  // namespace dbrx
