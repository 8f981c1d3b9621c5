#include "kernels/matmul/linear.h"

#include <cstring>

#include "kernels/testing.h"

namespace dbrx {
namespace {

using testing::StoredMatrix;

// The element that a packed matrix holds for output o and input i.
float element(const Linear& linear, int64_t o, int64_t i) {
  const std::byte* panel = linear.panel(o / kPanelOutputs);
  const int64_t column = o % kPanelOutputs;
  if (linear.format == Format::f32) {
    return reinterpret_cast<const float*>(panel)[column * linear.in_features + i];
  }
  if (linear.format == Format::int8) {
    const std::byte* weights = panel + 128;
    const int64_t index =
        ((i / 64 * 2 + column / 16) * 16 + i % 64 / 4) * 64 + column % 16 * 4 + i % 4;
    return reinterpret_cast<const float*>(panel)[column] *
           static_cast<float>(static_cast<int8_t>(weights[index]));
  }
  if (linear.format == Format::int4) {
    const int64_t shift = column / 16 * 4;
    const auto half_byte = [&](std::byte b) { return static_cast<int>(b) >> shift & 15; };
    const std::byte* scales = panel + 128;
    const std::byte* weights = scales + (linear.n_steps() * 32 + 63) / 64 * 64;
    const int factor = half_byte(scales[i / 32 * 16 + column % 16]) *
                       (half_byte(weights[i / 4 * 64 + column % 16 * 4 + i % 4]) - 8);
    return reinterpret_cast<const float*>(panel)[column] * static_cast<float>(factor);
  }
  const int64_t step = i / 32, tile = column / 16, pair = i % 32 / 2;
  const int64_t index = (((step * 2 + tile) * 16 + pair) * 16 + column % 16) * 2 + i % 2;
  return bf16_to_float(reinterpret_cast<const uint16_t*>(panel)[index]);
}

void expect_packed(const Linear& linear, const StoredMatrix& m, bool transposed) {
  for (int64_t o = 0; o < linear.out_features; ++o) {
    for (int64_t i = 0; i < linear.in_features; ++i) {
      ASSERT_EQ(element(linear, o, i), transposed ? m.at(i, o) : m.at(o, i)) << o << ", " << i;
    }
  }
}

TEST(PackLinear, KeepsEveryElementInItsPlace) {
  std::mt19937 random(3);
  for (const Format format : {Format::f32, Format::bf16}) {
    for (const auto& [rows, cols] :
         {std::pair<int64_t, int64_t>{1, 1}, {32, 32}, {33, 31}, {70, 129}, {96, 64}, {31, 200}}) {
      const StoredMatrix m = testing::normal_stored(format, rows, cols, random);
      expect_packed(testing::pack(m), m, false);
      expect_packed(pack_linear({.data = m.bytes.data(),
                                 .format = format,
                                 .out_features = cols,
                                 .in_features = rows,
                                 .out_stride = 1,
                                 .in_stride = cols}),
                    m, true);
    }
  }
}

TEST(QuantizeLinear, KeepsEveryElementInItsPlace) {
  std::mt19937 random(8);
  for (const Format format : {Format::int8, Format::int4}) {
    for (const auto& [rows, cols] :
         {std::pair<int64_t, int64_t>{1, 1}, {32, 64}, {33, 63}, {70, 129}, {31, 200}}) {
      StoredMatrix m = testing::normal_stored(Format::f32, rows, cols, random);
      const Linear linear = testing::quantize(m, format);
      expect_packed(linear, m, false);
      for (int64_t i = 0; i < linear.n_steps() * 64; ++i) {
        if (linear.n_panels() * 32 > rows) {
          ASSERT_EQ(element(linear, rows, i), 0);
        }
        if (i >= cols) {
          ASSERT_EQ(element(linear, 0, i), 0);
        }
      }
      // Stored transposed, the same matrix gives the same bytes.
      std::vector<float> turned(static_cast<size_t>(rows * cols));
      const auto* values = reinterpret_cast<const float*>(m.bytes.data());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c)
          turned[static_cast<size_t>(c * rows + r)] = values[r * cols + c];
      }
      Context context(choose_isa({}), 2);
      const Linear other =
          quantize_linear(context,
                          {.data = reinterpret_cast<const std::byte*>(turned.data()),
                           .format = Format::f32,
                           .out_features = rows,
                           .in_features = cols,
                           .out_stride = 1,
                           .in_stride = rows},
                          format);
      ASSERT_EQ(std::memcmp(other.bytes.data(), linear.bytes.data(), linear.bytes.size()), 0);
    }
  }
}

TEST(PackLinear, TakesAPartOfALargerMatrix) {
  std::mt19937 random(4);
  const StoredMatrix m = testing::normal_stored(Format::bf16, 80, 90, random);
  const Linear part = pack_linear({.data = m.bytes.data() + 2 * (5 * 90 + 7),
                                   .format = Format::bf16,
                                   .out_features = 64,
                                   .in_features = 64,
                                   .out_stride = 90});
  for (int64_t o = 0; o < 64; ++o) {
    for (int64_t i = 0; i < 64; ++i) ASSERT_EQ(element(part, o, i), m.at(o + 5, i + 7));
  }
}

TEST(PackLinear, PadsWithZeros) {
  const StoredMatrix ones =
      testing::store_matrix(Format::bf16, 33, 33, std::vector<float>(33 * 33, 1.0F));
  const Linear linear = testing::pack(ones);
  const auto* values = reinterpret_cast<const uint16_t*>(linear.bytes.data());
  int64_t n_ones = 0;
  for (int64_t i = 0; i < linear.n_panels() * linear.panel_bytes() / 2; ++i) {
    ASSERT_TRUE(values[i] == 0 || values[i] == 0x3f80);
    n_ones += values[i] != 0;
  }
  EXPECT_EQ(n_ones, 33 * 33);
}

TEST(PackLinear, DecodesHalfPrecision) {
  const uint16_t halves[] = {0x3c00, 0xc000, 0x3555, 0x0001, 0x7bff, 0x8000};  // 2 x 3
  const auto* data = reinterpret_cast<const std::byte*>(halves);
  const Linear linear = pack_linear(
      {.data = data, .format = Format::f16, .out_features = 2, .in_features = 3, .out_stride = 3});
  EXPECT_EQ(linear.format, Format::f32);
  for (int64_t o = 0; o < 2; ++o) {
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_EQ(element(linear, o, i), f16_to_float(halves[o * 3 + i]));
  }
  const Linear transposed = pack_linear({.data = data,
                                         .format = Format::f16,
                                         .out_features = 3,
                                         .in_features = 2,
                                         .out_stride = 1,
                                         .in_stride = 3});
  for (int64_t o = 0; o < 3; ++o) {
    for (int64_t i = 0; i < 2; ++i) {
      EXPECT_EQ(element(transposed, o, i), f16_to_float(halves[i * 3 + o]));
    }
  }
}

}  // namespace
}  // namespace dbrx
