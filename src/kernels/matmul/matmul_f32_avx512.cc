#include "kernels/matmul/matmul_f32_body.h"

namespace dbrx {

const MatmulKernel matmul_f32_avx512 = {.name = "f32 avx512",
                                        .isa = Isa::avx512,
                                        .format = Format::f32,
                                        .x_value_bytes = sizeof(float),
                                        .pack_x = pack_x,
                                        .run = run};

}  // namespace dbrx
