// A weight matrix as forward code multiplies with it: packed once, at load.
//
// f32:  row-major [out, in], the layout of the checkpoint (for goldens; exactness before speed),
// padded
//       with zero rows to a multiple of 32 outputs.
// bf16: panels of 32 outputs, K in steps of 32, so that the same bytes serve vector units and AMX:
//         [ceil(out/32)] [ceil(in/32)] [2 tiles] [16 pairs of k] [16 outputs] [2 of k]
//       One tile is 1 KiB: 16 rows of 64 bytes, the B operand of TDPBF16PS. Padding is zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/memory.h"
#include "tensor/format.h"

namespace dbrx {

constexpr int64_t kPanelOutputs = 32;
constexpr int64_t kBf16StepK = 32;

struct Linear {
  int64_t out_features = 0;
  int64_t in_features = 0;
  Format format = Format::f32;  // f32 or bf16
  Block storage;

  int64_t n_panels() const { return (out_features + kPanelOutputs - 1) / kPanelOutputs; }
  int64_t n_steps() const { return (in_features + kBf16StepK - 1) / kBf16StepK; }
  // Values of one panel of 32 outputs. Rows of f32 are not padded along K.
  int64_t panel_values() const {
    return (format == Format::bf16 ? n_steps() * kBf16StepK : in_features) * kPanelOutputs;
  }
  const std::byte* panel(int64_t i) const {
    return storage.data() + i * panel_values() * (format == Format::bf16 ? 2 : 4);
  }
};

// Where the weights lie before packing: value (o, i) is at data + (o * out_stride + i * in_stride)
// values. A transposed matrix is out_stride 1.
struct LinearSource {
  const std::byte* data = nullptr;
  Format format = Format::f32;
  int64_t out_features = 0;
  int64_t in_features = 0;
  int64_t out_stride = 0;
  int64_t in_stride = 1;
};

// bf16 stays bf16; f16 and f32 become f32 (every f16 value is exact in f32). Runs on the calling
// thread, touches nothing but its source and its result: a loader may pack several at once.
Linear pack_linear(const LinearSource& source);

}  // namespace dbrx
