#include "kernels/moe/moe_body.h"

namespace dbrx {

const MoeKernel moe_avx2 = {
    .name = "avx2", .isa = Isa::avx2, .silu_mul = silu_mul, .add_scaled = add_scaled};

}  // namespace dbrx
