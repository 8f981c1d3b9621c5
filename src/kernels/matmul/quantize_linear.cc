// Rounds the rows of a matrix and lays them out as integer panels.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "kernels/matmul/linear.h"
#include "tensor/quantized_row.h"

namespace dbrx {
namespace {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kStepGroups = kIntStepK / kScaleGroup;

void load_row(const LinearSource& s, int64_t o, std::span<float> row) {
  if (s.in_stride == 1) {
    decode_row(s.format, s.data + format_bytes(s.format, o * s.out_stride), s.in_features,
               row.data());
    return;
  }
  for (int64_t i = 0; i < s.in_features; ++i) {
    const int64_t index = o * s.out_stride + i * s.in_stride;
    decode_row(s.format, s.data + format_bytes(s.format, index), 1, &row[static_cast<size_t>(i)]);
  }
}

void add_half_byte(std::byte& to, int64_t half, int value) {
  to |= static_cast<std::byte>(static_cast<unsigned>(value) << (half * 4));
}

// Where weight k of output o of a panel lies, within the panel's weights; int4: without its half.
int64_t byte_index(Format format, int64_t o, int64_t k) {
  const int64_t line = k % kIntStepK / 4 * 64 + o % kTileOutputs * 4 + k % 4;
  const int64_t step = k / kIntStepK;
  if (format == Format::int4) return step * kIntTileBytes + line;
  return (step * 2 + o / kTileOutputs) * kIntTileBytes + line;
}

// Output o of a panel that is all zero bytes yet; n_k weights, padding included.
void write_row(Format format, const QuantizedRow& row, int64_t o, int64_t n_k, std::byte* panel) {
  const int64_t n_steps = n_k / kIntStepK;
  std::memcpy(panel + o * 4, &row.scale, sizeof row.scale);
  std::byte* weights = panel + int_header_bytes(format, n_steps);
  const auto n = static_cast<int64_t>(row.q.size());
  if (format == Format::int8) {
    for (int64_t k = 0; k < n; ++k) {
      weights[byte_index(format, o, k)] = static_cast<std::byte>(row.q[static_cast<size_t>(k)]);
    }
    return;
  }
  std::byte* scales = panel + kPanelScaleBytes;
  for (int64_t g = 0; g < n_steps * kStepGroups; ++g) {
    const auto i = static_cast<size_t>(g);
    const int scale = i < row.group_scales.size() ? row.group_scales[i] : 1;
    add_half_byte(scales[g * kTileOutputs + o % kTileOutputs], o / kTileOutputs, scale);
  }
  for (int64_t k = 0; k < n_k; ++k) {
    const int q = k < n ? row.q[static_cast<size_t>(k)] : 0;
    add_half_byte(weights[byte_index(format, o, k)], o / kTileOutputs, q + 8);
  }
}

}  // namespace

Linear quantize_linear(const LinearSource& source, Format format) {
  CHECK(source.data != nullptr);
  CHECK(format == Format::int8 || format == Format::int4);
  Linear linear = make_linear(format, source.out_features, source.in_features);
  std::vector<float> row(static_cast<size_t>(source.in_features));
  QuantizedRow quantized;
  for (int64_t o = 0; o < linear.n_panels() * kPanelOutputs; ++o) {
    if (o < source.out_features) {
      load_row(source, o, row);
    } else {
      std::fill(row.begin(), row.end(), 0.0F);
    }
    quantize_row(format, row, quantized);
    std::byte* panel = linear.owned.data() + o / kPanelOutputs * linear.panel_bytes();
    write_row(format, quantized, o % kPanelOutputs, linear.n_steps() * kIntStepK, panel);
  }
  return linear;
}

}  // namespace dbrx
