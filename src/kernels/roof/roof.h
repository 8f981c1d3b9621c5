// What this machine can do at best: the rates that a benchmark's results are shares of. Not an op
// of any model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/context.h"

namespace dbrx {

struct Roof {
  double read_bytes = 0;  // per second, from memory: 8 ascending streams per thread with prefetch
  double int8_ops = 0;  // per second, multiply and add counted as two: products of bytes and their
                        // sums, by the instructions that do most of them, operands in registers
};

// Measures once, for some tenths of a second each, on all threads of the pool and with the
// instruction set of the context. `memory` is what is read: several times as large as the
// last-level cache, and touched before. The vCPUs of a shared host give other rates at other
// minutes: measure interleaved with what you compare, and take medians.
Roof measure_roof(Context& context, std::span<const std::byte> memory);

}  // namespace dbrx
