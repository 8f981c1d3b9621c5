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

// Rows first .. first + n - 1 as floats; of a matrix stored by rows (in_stride 1) or transposed
// (out_stride 1), so that the source is read in its own order.
void load_rows(const LinearSource& s, int64_t first, int64_t n, float* rows) {
  if (s.in_stride == 1) {
    for (int64_t o = 0; o < n; ++o) {
      decode_row(s.format, s.data + format_bytes(s.format, (first + o) * s.out_stride),
                 s.in_features, rows + o * s.in_features);
    }
    return;
  }
  CHECK_EQ(s.out_stride, 1);
  float column[kPanelOutputs];
  for (int64_t i = 0; i < s.in_features; ++i) {
    decode_row(s.format, s.data + format_bytes(s.format, i * s.in_stride + first), n, column);
    for (int64_t o = 0; o < n; ++o) rows[o * s.in_features + i] = column[o];
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

void quantize_panel(const LinearSource& source, int64_t p, Linear& linear) {
  const auto n_in = static_cast<size_t>(source.in_features);
  const int64_t first = p * kPanelOutputs;
  std::vector<float> rows(kPanelOutputs * n_in);
  load_rows(source, first, std::min(kPanelOutputs, source.out_features - first), rows.data());
  QuantizedRow quantized;
  for (int64_t o = 0; o < kPanelOutputs; ++o) {
    quantize_row(linear.format, std::span(rows).subspan(static_cast<size_t>(o) * n_in, n_in),
                 quantized);
    write_row(linear.format, quantized, o, linear.n_steps() * kIntStepK,
              linear.owned.data() + p * linear.panel_bytes());
  }
}

}  // namespace

Linear quantize_linear(Context& context, const LinearSource& source, Format format) {
  CHECK(source.data != nullptr);
  CHECK(is_integer(format));
  Linear linear = make_linear(format, source.out_features, source.in_features);
  context.pool.run(static_cast<size_t>(linear.n_panels()),
                   [&](size_t p) { quantize_panel(source, static_cast<int64_t>(p), linear); });
  return linear;
}

}  // namespace dbrx
