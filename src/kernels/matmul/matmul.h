// y = x W^T, the product of every projection.
//
//   y[r, o] = sum_i x[r, i] * W[o, i]
//
// f32 weights:  x stays f32. 16 lanes; lane l takes i = l, l+16, l+32, ... with one fused
// multiply-add
//               each (missing elements of the last step are skipped); then lanes are added in
//               halves: l += l+8, l += l+4, l += l+2, l += l+1.
// bf16 weights: x is rounded to bf16 first. The arithmetic of AMX: i in blocks of 32, zero-padded;
// in a
//               block two FMA chains from zero, one over the even elements, one over the odd,
//               ascending; acc += even + odd. Subnormal inputs and results count as zero.
//
// int8, int4 weights: x is rounded to 16 bits with one scale per row (Activations::exact), or to 8
//               (fast); products and sums are exact integers; then the two scales:
//               y = float(sum * (double(x scale) * double(weight scale))).
//
// exact: x scale = max|x| / 32512, x = 256 hi + lo in signed bytes,
//        sum = double(sum of hi w) * 256 + double(sum of lo w)
// fast:  x scale = max|x| / 127, one byte, one sum
//
// The sums are int32, exact up to K = 2^17. A row with a NaN or an infinity gives NaN; one with
// max|x| < 2^-100 counts as zero.
//
// So a row of y depends on its row of x alone, and its bits are the same for every instruction set,
// thread count and number of rows.
#pragma once

#include "base/context.h"
#include "kernels/matmul/linear.h"
#include "tensor/view.h"

namespace dbrx {

// How integer products round their input; of no effect on other formats.
enum class Activations : uint8_t { exact, fast };

// Products of bytes for each weight and row.
constexpr int64_t n_digits(Activations activations) {
  return activations == Activations::exact ? 2 : 1;
}

struct MatmulArgs {
  MatrixView<const float> x;       // [rows, in]
  const Linear* weight = nullptr;  // out x in
  Activations activations = Activations::exact;
  MatrixView<float> y;  // [rows, out]; must not overlap x
};

void matmul(Context& context, const MatmulArgs& args);

}  // namespace dbrx
