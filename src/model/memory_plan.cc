#include "model/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "model/kv_cache.h"

namespace dbrx {
namespace {

// Nano's server has less without its weights, cache and steps; threads' stacks and a thousand
// connections come to it.
constexpr int64_t kProgramBytes = int64_t{96} << 20;

// Of a token that waits in the queue: its id, and about four bytes of text.
constexpr int64_t kQueuedTokenBytes = 8;

double gigabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

[[noreturn]] void refuse(const MemoryPlan& plan, const MemoryDemand& demand) {
  throw Error(
      Code::resource_exhausted,
      "needs more memory than this process may use (the machine's, or its control group's): " +
          describe(plan) +
          ". Less is needed with smaller --kv-cache-tokens (at least --max-model-len, " +
          std::to_string(demand.step.context) +
          "), --max-model-len, --max-num-batched-tokens and --max-queue, or --kv-cache-dtype int8");
}

}  // namespace

MemoryPlan plan_memory(const ModelConfig& config, const MemoryDemand& demand) {
  MemoryPlan plan;
  plan.available = demand.available;
  plan.weights = demand.weights;
  plan.scratch = step_scratch_bytes(config, demand.step);
  plan.logits = step_logits_bytes(config, demand.step);
  plan.requests = demand.requests + demand.queue * demand.step.context * kQueuedTokenBytes;
  plan.program = kProgramBytes;
  const auto blocks = [](int64_t tokens) { return (tokens + kKvBlockTokens - 1) / kKvBlockTokens; };
  const int64_t block_bytes = kKvBlockTokens * KvCache::bytes_per_token(config, demand.kv_format);
  const auto set_cache = [&](int64_t n_blocks) {
    plan.cache = n_blocks * block_bytes;
    plan.cache_tokens = n_blocks * kKvBlockTokens;
  };

  const int64_t least = blocks(demand.step.context);
  set_cache(least);
  plan.weights_fit = plan.total() <= plan.available;
  // Where weights are read again and again each byte of the cache costs time.
  const int64_t share = plan.weights_fit ? 5 : 20;
  const int64_t left = plan.available - plan.total() + plan.cache;
  const int64_t affordable =
      std::min(plan.available / share, plan.weights_fit ? left : plan.available / share) /
      block_bytes;
  const int64_t wanted = demand.step.sequences * least;
  set_cache(demand.cache_tokens > 0 ? blocks(demand.cache_tokens)
                                    : std::max(least, std::min(wanted, affordable)));

  const int64_t must_fit =
      plan.weights_fit || !demand.mapped ? plan.total() : plan.total() - plan.weights;
  if (must_fit > plan.available) refuse(plan, demand);
  return plan;
}

std::string describe(const MemoryPlan& plan) {
  char text[320];
  std::snprintf(text, sizeof text,
                "%.2f of %.2f GB: weights %.2f, KV cache %.2f (%lld tokens), scratch %.2f, logits "
                "%.2f, requests %.2f, "
                "program %.2f",
                gigabytes(plan.total()), gigabytes(plan.available), gigabytes(plan.weights),
                gigabytes(plan.cache), static_cast<long long>(plan.cache_tokens),
                gigabytes(plan.scratch), gigabytes(plan.logits), gigabytes(plan.requests),
                gigabytes(plan.program));
  return text;
}

}  // namespace dbrx
