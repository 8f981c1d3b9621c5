// From a float checkpoint to a packed one: `dbrx quantize`.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/context.h"
#include "tensor/format.h"

namespace dbrx {

struct QuantizeOptions {
  Format experts = Format::int4;  // int4 or int8
  Format dense = Format::int8;    // attention, head and embedding; int8
  // Called after each matrix with the part of the weights that is finished, 0 to 1. May be empty.
  std::function<void(double done)> progress;
};

// One file of a packed checkpoint, and what writes it.
struct PackedPart {
  std::string file;
  int64_t n_weights = 0;
  // `wrote` is called with the number of weights of each matrix.
  std::function<void(Context& context, const std::filesystem::path& path,
                     const std::function<void(int64_t n_weights)>& wrote)>
      write;
};

// Writes out_dir: one file per layer and one for the rest, an index, config.json with a
// "quantization_config" of our own, and the source's tokenizer and generation files. Router and
// norms stay float. Holds one matrix in memory. A run that was stopped goes on
// with the files that are not finished; the same source and options are demanded. Throws Error.
void quantize_checkpoint(Context& context, const std::filesystem::path& source_dir,
                         const std::filesystem::path& out_dir, const QuantizeOptions& options);

}  // namespace dbrx
