// What this machine can do at best: the rates that a benchmark's results are shares of. Not an op
// of any model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/context.h"

namespace dbrx {

// Rates per second of all threads together. An operation is a multiplication or an addition:
// products and their sums, by the instructions that do most of them, operands in registers.
struct Roof {
  double read_bytes = 0;  // from memory: 8 ascending streams per thread with prefetch
  double int8_ops = 0;    // of bytes: AMX, VNNI, or AVX2's maddubs
  double bf16_ops = 0;    // AMX; elsewhere fused multiply-adds, which is how our kernels multiply
  double f32_ops = 0;     // fused multiply-adds
};

// Measures once, for a tenth of a second each, on all threads of the pool and with the instruction
// set of the context. `memory` is what is read: several times as large as the last-level cache,
// and touched before. The vCPUs of a shared host give other rates at other minutes: measure
// interleaved with what you compare, and take medians.
Roof measure_roof(Context& context, std::span<const std::byte> memory);

// Roof::read_bytes alone, of memory that it takes and gives back: 256 to 512 MB by the last-level
// cache, but no more than `most`, what the program itself reads again and again. Where that fits a
// cache, so does what is read here. Takes about a tenth of a second. Throws
// Error(resource_exhausted).
double measure_read(Context& context, size_t most);

// What something that was measured had to read and to multiply.
struct Work {
  double bytes = 0;
  double int8_ops = 0;
  double bf16_ops = 0;
  double f32_ops = 0;
};

struct RoofShare {
  double share = 0;
  std::string_view roof;  // the one that limits: read, int8, bf16 or f32
};

// The least time of this work, over the time that it took. Reading and multiplying go on side by
// side, products of several kinds one after the other:
//
//   least = max(bytes / read_bytes, int8_ops / int8 peak + bf16_ops / bf16 peak + ...)
RoofShare share_of_roof(const Work& work, double seconds, const Roof& roof);

}  // namespace dbrx
