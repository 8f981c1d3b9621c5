#include "kernels/attention/attention_body.h"
#include "kernels/attention/attention_float.h"
#include "kernels/attention/attention_int8.h"

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
const AttentionKernel attention_int8_avx512 = {.name = "int8 avx512",
                                               .isa = Isa::avx512,
                                               .format = Format::int8,
                                               .run = run<Int8Cache>,
                                               .merge = merge_splits};

}  // namespace dbrx
