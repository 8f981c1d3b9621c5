// The engine's counters at one moment.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/engine.h"

namespace dbrx {

struct EngineSample {
  EngineStats stats;
  std::vector<int64_t> expert_tokens;  // [layers, experts]; empty: the model has none
  int64_t n_experts = 0;

  int64_t n_layers() const {
    return n_experts == 0 ? 0 : static_cast<int64_t>(expert_tokens.size()) / n_experts;
  }
  double cache_usage() const {
    if (stats.total_blocks == 0) return 0;
    return 1 - static_cast<double>(stats.free_blocks) / static_cast<double>(stats.total_blocks);
  }
};

// May be called from any thread, and costs the engine no more than a short lock.
using SampleEngine = std::function<EngineSample()>;

// How evenly the tokens of a layer went to its experts: the entropy of their shares, over that of
// equal ones,
//
//   -sum(p_i * log(p_i)) / log(n)
//
// 1: all the same; 0: one got everything. Of a layer without tokens: 1. [layers]
std::vector<double> expert_balance(const EngineSample& sample);

}  // namespace dbrx
