// A model of a given geometry with random weights, made directly in packed form: for benchmarks
// that need no checkpoint.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/context.h"
#include "model/config.h"
#include "model/model.h"

namespace dbrx {

// The released DBRX, except for depth and vocabulary: d 6144, 48 query and 8 key-value heads, 16
// experts of 10752, 4 per token.
ModelConfig dbrx_geometry(int64_t n_layers, int64_t vocab_size);

struct SyntheticOptions {
  ModelConfig config;  // n_layers * n_experts <= d_model
  Format experts = Format::int4;
  Format dense = Format::int8;  // attention and head; bf16 where the experts are bf16
  Activations activations = Activations::exact;
  std::vector<int32_t> routing;  // model/synthetic_routing.h: where each token id is sent
};

// Bytes of its weights in the formats that SyntheticOptions begin with.
int64_t synthetic_bytes(const ModelConfig& config);

// Every layer sends a token to the experts that `routing` names for it, all with the same weight:
// the embedding holds, in n_layers * n_experts of its dimensions, +1 for an expert that the token
// goes to and -1 for another, each router reads its own of these dimensions, and the embedding is
// so large beside what layers add that nothing blurs this. Throws Error(resource_exhausted).
std::unique_ptr<Model> synthetic_dbrx(Context& context, const SyntheticOptions& options);

}  // namespace dbrx
