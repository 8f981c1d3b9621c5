#include "kernels/attention/attention_body.h"

namespace dbrx {

const AttentionKernel attention_f32_avx512 = {
    .name = "f32 avx512", .isa = Isa::avx512, .format = Format::f32, .run = run<F32Cache>};
const AttentionKernel attention_bf16_avx512 = {
    .name = "bf16 avx512", .isa = Isa::avx512, .format = Format::bf16, .run = run<Bf16Cache>};

}  // namespace dbrx
