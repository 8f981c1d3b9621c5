// Operations on one element at a time: no reduction, so no order to keep.
#pragma once

#include "base/context.h"
#include "tensor/view.h"

namespace dbrx {

// x = min(max(x, -limit), limit), limit > 0. NaN stays NaN.
void clip(Context& context, MatrixView<float> x, float limit);

// x += y, same shape.
void add(Context& context, MatrixView<float> x, MatrixView<const float> y);

}  // namespace dbrx
