#include "kernels/attention/attention_body.h"

namespace dbrx {

const AttentionKernel attention_f32_avx2 = {
    .name = "f32 avx2", .isa = Isa::avx2, .format = Format::f32, .run = run<F32Cache>};
const AttentionKernel attention_bf16_avx2 = {
    .name = "bf16 avx2", .isa = Isa::avx2, .format = Format::bf16, .run = run<Bf16Cache>};

}  // namespace dbrx
