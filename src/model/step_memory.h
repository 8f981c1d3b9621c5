// How much memory a step needs besides weights and cache, known before there is a model: for the
// budget that a start prints and keeps.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace dbrx {

struct StepLimits {
  int64_t rows = 0;       // tokens of a step
  int64_t sequences = 0;  // that a step has rows of
  int64_t context = 0;    // tokens of the longest sequence
  int n_threads = 1;
  bool integer_weights = false;  // of a packed checkpoint
};

// Bytes that the scratch arena of the largest step has taken at one time, at most: however rows are
// spread over experts and sequences.
int64_t step_scratch_bytes(const ModelConfig& config, const StepLimits& limits);

// Bytes of the logits of a step, those that are kept for later included, and of what each thread
// that samples has.
int64_t step_logits_bytes(const ModelConfig& config, const StepLimits& limits);

}  // namespace dbrx
