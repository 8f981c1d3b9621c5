// Prompts beside sequences that generate: the `mixed` rows of `dbrx bench`. Unlike the others they
// are about the engine's choices, not about the model's speed alone.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/bench_rows.h"
#include "base/context.h"
#include "model/model.h"
#include "tensor/format.h"

namespace dbrx {

struct MixedLoad {
  int64_t sequences = 8;         // that generate all the time
  int64_t prompt_tokens = 4096;  // of a prompt
  double prompt_every = 20;      // seconds between two of them
  double seconds = 300;          // of all
  int64_t max_rows = 512;        // of a step
  double prefill_slowdown = 1.9;
};

// Memory of the cache that the load needs.
int64_t mixed_cache_bytes(const ModelConfig& config, Format kv_format, const MixedLoad& load);

// Appends rows: milliseconds between two tokens (alone: before the first prompt) as p50, p99 and
// their quotient, tokens of prompts per second while they are computed, as a share of what a prompt
// alone gets ("idle"), and seconds to the first token from the time at which a prompt was due.
// Throws Error(invalid_argument) when no prompt was done in time.
void bench_mixed(Context& context, Model& model, Format kv_format, const MixedLoad& load,
                 const RowName& name, std::vector<BenchRow>& rows);

}  // namespace dbrx
