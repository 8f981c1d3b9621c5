#include "kernels/matmul/matmul_f32_body.h"

namespace dbrx {

const MatmulKernel matmul_f32_avx2 = {.name = "f32 avx2",
                                      .isa = Isa::avx2,
                                      .format = Format::f32,
                                      .x_value_bytes = sizeof(float),
                                      .pack_x = pack_x,
                                      .run = run};

}  // namespace dbrx
