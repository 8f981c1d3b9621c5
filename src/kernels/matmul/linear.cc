#include "kernels/matmul/linear.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace dbrx {
namespace {

constexpr int64_t kTileOutputs = 16;
constexpr int64_t kTileValues = kTileOutputs * kBf16StepK;
constexpr int64_t kStepValues = kPanelOutputs * kBf16StepK;

template <typename T>
T load(const std::byte* source, int64_t index) {
  T value;
  std::memcpy(&value, source + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// The part of the matrix that falls into one step of one panel.
struct StepBlock {
  int64_t first_output = 0, n_outputs = 0;
  int64_t first_k = 0, n_k = 0;
};

StepBlock step_block(const LinearSource& s, int64_t panel, int64_t step) {
  const int64_t first_output = panel * kPanelOutputs;
  const int64_t first_k = step * kBf16StepK;
  return {first_output, std::min(kPanelOutputs, s.out_features - first_output), first_k,
          std::min(kBf16StepK, s.in_features - first_k)};
}

// Where output o (of 32) and element k (of 32) of a step lie.
int64_t step_index(int64_t o, int64_t k) {
  return o / kTileOutputs * kTileValues + (k / 2 * kTileOutputs + o % kTileOutputs) * 2 + k % 2;
}

void pack_step(const LinearSource& s, const StepBlock& b, uint16_t* out) {
  for (int64_t o = 0; o < b.n_outputs; ++o) {
    for (int64_t k = 0; k < b.n_k; ++k) {
      out[step_index(o, k)] = load<uint16_t>(
          s.data, (b.first_output + o) * s.out_stride + (b.first_k + k) * s.in_stride);
    }
  }
}

// A full step of rows that are contiguous along K: each cache line of the source is read once.
void pack_step_rows(const LinearSource& s, const StepBlock& b, uint16_t* out) {
  for (int64_t o = 0; o < kPanelOutputs; ++o) {
    uint32_t pairs[kBf16StepK / 2];
    std::memcpy(pairs, s.data + ((b.first_output + o) * s.out_stride + b.first_k) * 2,
                sizeof pairs);
    uint16_t* column = out + step_index(o, 0);
    for (int64_t pair = 0; pair < kBf16StepK / 2; ++pair) {
      std::memcpy(column + pair * kTileOutputs * 2, &pairs[pair], sizeof(uint32_t));
    }
  }
}

// A full step of a transposed matrix: contiguous along the outputs.
void pack_step_columns(const LinearSource& s, const StepBlock& b, uint16_t* out) {
  for (int64_t k = 0; k < kBf16StepK; k += 2) {
    uint16_t even[kPanelOutputs];
    uint16_t odd[kPanelOutputs];
    const std::byte* row = s.data + ((b.first_k + k) * s.in_stride + b.first_output) * 2;
    std::memcpy(even, row, sizeof even);
    std::memcpy(odd, row + s.in_stride * 2, sizeof odd);
    for (int64_t tile = 0; tile < 2; ++tile) {
      uint16_t* line = out + step_index(tile * kTileOutputs, k);
      for (int64_t o = 0; o < kTileOutputs; ++o) {
        line[2 * o] = even[tile * kTileOutputs + o];
        line[2 * o + 1] = odd[tile * kTileOutputs + o];
      }
    }
  }
}

void pack_bf16(const LinearSource& s, Linear& linear) {
  auto* out = reinterpret_cast<uint16_t*>(linear.owned.data());
  const int64_t n_panels = linear.n_panels();
  const int64_t n_steps = linear.n_steps();
  const auto pack = [&](int64_t panel, int64_t step) {
    const StepBlock b = step_block(s, panel, step);
    uint16_t* to = out + (panel * n_steps + step) * kStepValues;
    const bool full = b.n_outputs == kPanelOutputs && b.n_k == kBf16StepK;
    if (full && s.in_stride == 1) {
      pack_step_rows(s, b, to);
    } else if (full && s.out_stride == 1) {
      pack_step_columns(s, b, to);
    } else {
      pack_step(s, b, to);
    }
  };
  // In both orders the source is read as 32 ascending streams.
  if (s.out_stride == 1) {
    for (int64_t step = 0; step < n_steps; ++step) {
      for (int64_t panel = 0; panel < n_panels; ++panel) pack(panel, step);
    }
  } else {
    for (int64_t panel = 0; panel < n_panels; ++panel) {
      for (int64_t step = 0; step < n_steps; ++step) pack(panel, step);
    }
  }
}

float load_f32(const LinearSource& s, int64_t index) {
  return s.format == Format::f32 ? load<float>(s.data, index)
                                 : f16_to_float(load<uint16_t>(s.data, index));
}

void pack_f32(const LinearSource& s, Linear& linear) {
  auto* out = reinterpret_cast<float*>(linear.owned.data());
  if (s.in_stride == 1) {
    for (int64_t o = 0; o < s.out_features; ++o) {
      decode_row(s.format, s.data + format_bytes(s.format, o * s.out_stride), s.in_features,
                 out + o * s.in_features);
    }
    return;
  }
  // Blocks of 16 x 16, so that both sides of a transposition stay in cache.
  constexpr int64_t kBlock = 16;
  for (int64_t i0 = 0; i0 < s.in_features; i0 += kBlock) {
    const int64_t i1 = std::min(i0 + kBlock, s.in_features);
    for (int64_t o0 = 0; o0 < s.out_features; o0 += kBlock) {
      const int64_t o1 = std::min(o0 + kBlock, s.out_features);
      for (int64_t o = o0; o < o1; ++o) {
        for (int64_t i = i0; i < i1; ++i) {
          out[o * s.in_features + i] = load_f32(s, o * s.out_stride + i * s.in_stride);
        }
      }
    }
  }
}

}  // namespace

int64_t linear_bytes(Format format, int64_t out_features, int64_t in_features) {
  Linear linear;
  linear.format = format;
  linear.out_features = out_features;
  linear.in_features = in_features;
  return linear.n_panels() * linear.panel_bytes();
}

int64_t Linear::panel_bytes() const {
  switch (format) {
    case Format::bf16:
      return n_steps() * kStepValues * 2;
    case Format::int8:
      return int_header_bytes(format, n_steps()) + n_steps() * 2 * kIntTileBytes;
    case Format::int4:
      return int_header_bytes(format, n_steps()) + n_steps() * kIntTileBytes;
    default:  // rows of f32 are not padded along K
      return in_features * kPanelOutputs * 4;
  }
}

Linear make_linear(Format format, int64_t out_features, int64_t in_features) {
  CHECK_LT(0, out_features);
  CHECK_LT(0, in_features);
  Linear linear;
  linear.out_features = out_features;
  linear.in_features = in_features;
  linear.format = format;
  linear.owned = Block(static_cast<size_t>(linear.n_panels() * linear.panel_bytes()));
  linear.bytes = {linear.owned.data(), linear.owned.size()};
  return linear;
}

Linear pack_linear(const LinearSource& source) {
  CHECK(source.data != nullptr);
  Linear linear = make_linear(source.format == Format::bf16 ? Format::bf16 : Format::f32,
                              source.out_features, source.in_features);
  if (linear.format == Format::bf16) {
    pack_bf16(source, linear);
  } else {
    pack_f32(source, linear);
  }
  return linear;
}

}  // namespace dbrx
