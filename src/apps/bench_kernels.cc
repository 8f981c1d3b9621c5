#include "apps/bench_kernels.h"

#include <chrono>
#include <random>

#include "apps/bench_steps.h"
#include "kernels/matmul/random_linear.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSeconds = 0.1;  // of one sample, at least

}  // namespace

std::vector<KernelShape> kernel_shapes(const ModelConfig& config) {
  const int64_t d = config.d_model;
  return {{"qkv", config.q_dim() + 2 * config.kv_dim(), d},
          {"o", d, config.q_dim()},
          {"gate", config.ffn_hidden, d},
          {"down", d, config.ffn_hidden},
          {"head", config.vocab_size, d}};
}

BenchKernel::BenchKernel(Context& context, KernelShape shape, Format format,
                         Activations activations)
    : context_(context), shape_(std::move(shape)), activations_(activations) {
  const auto make = [&](uint64_t seed) {
    return random_linear(format, shape_.out_features, shape_.in_features, seed);
  };
  weights_.push_back(make(0));
  const size_t bytes = weights_[0].bytes.size();
  weights_.resize((static_cast<size_t>(kKernelBytes) + bytes - 1) / bytes);
  context.pool.run(weights_.size() - 1, [&](size_t i) { weights_[i + 1] = make(i + 1); });
}

Sample BenchKernel::run(int64_t rows, const Roof& roof) {
  std::vector<float> x(static_cast<size_t>(rows * shape_.in_features));
  std::minstd_rand random(1);
  for (float& value : x) value = static_cast<float>(random() % 2001) * 1e-3F - 1;
  std::vector<float> y(static_cast<size_t>(rows * shape_.out_features));
  const MatmulArgs args = {.x = {x.data(), rows, shape_.in_features, shape_.in_features},
                           .activations = activations_,
                           .y = {y.data(), rows, shape_.out_features, shape_.out_features}};
  const auto product = [&] {
    MatmulArgs with_weight = args;
    with_weight.weight = &weights_[next_++ % weights_.size()];
    matmul(context_, with_weight);
  };
  product();  // memory of x, y and the arena is there
  int64_t n = 0;
  double seconds = 0;
  const Clock::time_point start = Clock::now();
  do {
    product();
    ++n;
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  } while (seconds < kSeconds);
  seconds /= static_cast<double>(n);
  Work work = {.bytes = static_cast<double>(weights_[0].bytes.size())};
  add_product(weights_[0].format, activations_,
              2 * static_cast<double>(rows * shape_.out_features * shape_.in_features), work);
  return {.value = seconds * 1e3, .share = share_of_roof(work, seconds, roof)};
}

}  // namespace dbrx
