#include "kernels/matmul/matmul_bf16_body.h"

namespace dbrx {

const MatmulKernel matmul_bf16_avx512 = {.name = "bf16 avx512",
                                         .isa = Isa::avx512,
                                         .format = Format::bf16,
                                         .x_value_bytes = sizeof(float),
                                         .pack_x = pack_x,
                                         .run = run};

}  // namespace dbrx
