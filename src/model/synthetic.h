// A model of the real geometry with random weights, made directly in packed form: for benchmarks
// that need no checkpoint.
#pragma once

#include <cstdint>
#include <memory>

#include "base/context.h"
#include "model/model.h"

namespace dbrx {

struct SyntheticOptions {
  int64_t n_layers = 4;  // of DBRX's 40
  int64_t vocab_size = 4096;
  Format experts = Format::int4;
  Format dense = Format::int8;  // attention, head, embedding; bf16 where the experts are bf16
  Activations activations = Activations::exact;
};

// DBRX: d 6144, 48 query and 8 key-value heads, 16 experts of 10752, 4 per token. Its random router
// sends tokens to all experts about equally. Throws Error(resource_exhausted).
std::unique_ptr<Model> synthetic_dbrx(Context& context, const SyntheticOptions& options);

}  // namespace dbrx
