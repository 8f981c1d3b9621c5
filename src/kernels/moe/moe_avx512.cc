#include "kernels/moe/moe_body.h"

namespace dbrx {

const MoeKernel moe_avx512 = {
    .name = "avx512", .isa = Isa::avx512, .silu_mul = silu_mul, .add_scaled = add_scaled};

}  // namespace dbrx
