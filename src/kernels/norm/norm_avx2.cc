#include "kernels/norm/norm_body.h"

namespace dbrx {

const NormKernel norm_avx2 = {.name = "avx2", .isa = Isa::avx2, .run = run};

}  // namespace dbrx
