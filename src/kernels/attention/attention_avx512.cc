#include "kernels/attention/attention_body.h"
#include "kernels/attention/attention_float.h"

namespace dbrx {

const AttentionKernel attention_f32_avx512 = {.name = "f32 avx512",
                                              .isa = Isa::avx512,
                                              .format = Format::f32,
                                              .run = run<FloatCache<F32Chains>>,
                                              .merge = merge_splits};
const AttentionKernel attention_bf16_avx512 = {.name = "bf16 avx512",
                                               .isa = Isa::avx512,
                                               .format = Format::bf16,
                                               .run = run<FloatCache<Bf16Chains>>,
                                               .merge = merge_splits};

}  // namespace dbrx
