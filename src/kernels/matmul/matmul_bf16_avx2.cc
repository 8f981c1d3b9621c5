#include "kernels/matmul/matmul_bf16_body.h"

namespace dbrx {

const MatmulKernel matmul_bf16_avx2 = {.name = "bf16 avx2",
                                       .isa = Isa::avx2,
                                       .format = Format::bf16,
                                       .x_value_bytes = sizeof(float),
                                       .pack_x = pack_x,
                                       .run = run};

}  // namespace dbrx
