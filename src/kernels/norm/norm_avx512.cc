#include "kernels/norm/norm_body.h"

namespace dbrx {

const NormKernel norm_avx512 = {.name = "avx512", .isa = Isa::avx512, .run = run};

}  // namespace dbrx
