// Where the memory of a process that generates text goes, decided before the weights are read: so a
// start that can't last is refused at once, and an operator can put the sum beside the limit of his
// container.
#pragma once

#include <cstdint>
#include <string>

#include "model/config.h"
#include "model/step_memory.h"
#include "tensor/format.h"

namespace dbrx {

// What is asked for.
struct MemoryDemand {
  int64_t available = 0;  // bytes that the process may use
  int64_t weights = 0;    // bytes
  bool mapped = false;    // from the page cache: weights may be larger than the memory, and slow
  Format kv_format = Format::bf16;
  int64_t cache_tokens = 0;  // 0: what is sensible
  int64_t queue = 0;         // requests that may wait
  int64_t requests = 0;      // bytes that bodies and records of requests may take
  StepLimits step;
};

// Bytes of everything.
struct MemoryPlan {
  int64_t available = 0;
  int64_t weights = 0;
  bool weights_fit = true;  // false: they are read from the disk again and again
  int64_t cache = 0;
  int64_t cache_tokens = 0;
  int64_t scratch = 0;   // of the largest step
  int64_t logits = 0;    // and what sampling needs
  int64_t requests = 0;  // bodies, records, and a queue full of the longest prompts
  int64_t program = 0;   // code, tokenizer, tables, threads, connections

  int64_t total() const { return weights + cache + scratch + logits + requests + program; }
};

// By default the cache has room for every sequence at full length, within a fifth of the memory and
// what the rest leaves. Throws Error(resource_exhausted), with the sum, when it can't hold one
// whole sequence or the flags ask for more than there is.
MemoryPlan plan_memory(const ModelConfig& config, const MemoryDemand& demand);

// "1.54 of 25.12 GB: weights 0.03, KV cache 1.09 (131072 tokens), ..."
std::string describe(const MemoryPlan& plan);

}  // namespace dbrx
