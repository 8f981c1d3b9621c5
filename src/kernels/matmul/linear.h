// A weight matrix as forward code multiplies with it, packed once in panels of 32 outputs.
// docs/formats.md draws the panels.
//
// f32:  row-major [out, in], the layout of the checkpoint (for goldens; exactness before speed)
// bf16: K in steps of 32, per step
//         [2 tiles of 16 outputs] [16 pairs of k] [16 outputs] [2 of k]
// int8: [32 float scales], then K in steps of 64, per step
//         [2 tiles of 16 outputs] [16 quads of k] [16 outputs] [4 of k]
// int4: [32 float scales], per step [2 groups of 32 k] [16 bytes of group scales], up to a multiple
//       of 64 bytes; then per step of 64 k
//         [16 quads of k] [16 outputs] [4 of k]
//       A byte holds output n (low half) and n + 16 (high half), group scales too; a weight is
//       (half byte - 8) * group scale * float scale.
//
// So the same bytes serve vector units and AMX: a tile is 1 KiB, 16 rows of 64 bytes, the B operand
// of a tile product. Outputs are padded to 32 and K to a step with weights of zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/context.h"
#include "base/mapped_file.h"
#include "base/memory.h"
#include "tensor/format.h"

namespace dbrx {

constexpr int64_t kMaxInFeatures = int64_t{1} << 17;  // sums of integer products fit 32 bits
constexpr int64_t kPanelOutputs = 32;
constexpr int64_t kBf16StepK = 32;
constexpr int64_t kIntStepK = 64;
constexpr int64_t kIntTileBytes = 1024;       // one tile of int8, or both of int4
constexpr int64_t kGroupScaleBytes = 32;      // of one step of int4
constexpr int64_t kPanelScaleBytes = 32 * 4;  // the float scales of an integer panel

struct Linear {
  int64_t out_features = 0;
  int64_t in_features = 0;
  Format format = Format::f32;       // f32, bf16, int8 or int4
  std::span<const std::byte> bytes;  // n_panels() * panel_bytes(), aligned to 64
  Block owned;                       // what `bytes` points into, or
  std::shared_ptr<const MappedFile> file;

  int64_t step_k() const { return is_integer(format) ? kIntStepK : kBf16StepK; }
  int64_t n_panels() const { return (out_features + kPanelOutputs - 1) / kPanelOutputs; }
  int64_t n_steps() const { return (in_features + step_k() - 1) / step_k(); }
  int64_t panel_bytes() const;
  const std::byte* panel(int64_t i) const { return bytes.data() + i * panel_bytes(); }
};

// Bytes of a matrix in panels.
int64_t linear_bytes(Format format, int64_t out_features, int64_t in_features);

// Bytes before the weights of an integer panel: its scales. Forced inline for kernel files.
[[gnu::always_inline]] inline int64_t int_header_bytes(Format format, int64_t n_steps) {
  const int64_t groups = format == Format::int4 ? n_steps * kGroupScaleBytes : 0;
  return (kPanelScaleBytes + groups + 63) / 64 * 64;
}

// Zeroed room for the panels of a matrix.
Linear make_linear(Format format, int64_t out_features, int64_t in_features);

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

// The same with the rows rounded to int8 or int4 (tensor/quantized_row.h), on all threads. The
// source is stored by rows (in_stride 1) or transposed (out_stride 1).
Linear quantize_linear(Context& context, const LinearSource& source, Format format);

}  // namespace dbrx
