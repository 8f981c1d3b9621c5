#include "tensor/quantized_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace dbrx {
namespace {

float largest(std::span<const float> weights) {
  float most = 0;
  for (const float w : weights) most = std::max(most, std::fabs(w));
  return most;
}

// Sums over a rounded piece of a row, f[k] the integer that the row's scale multiplies. The best
// scale for these integers is wf / ff, and the squared error is then ww - wf^2 / ff.
struct Fit {
  double wf = 0;
  double ff = 0;

  Fit& operator+=(const Fit& other) {
    wf += other.wf;
    ff += other.ff;
    return *this;
  }
};

// Rounds weights / step to [low, high]; returns the squared error.
float round_all(std::span<const float> weights, float step, int low, int high, int8_t* q) {
  constexpr float kRound =
      0x1.8p23F;  // adding it leaves no fraction: rounds to nearest, ties to even
  const float inverse = 1 / step;
  const auto floor = static_cast<float>(low);
  const auto ceiling = static_cast<float>(high);
  float errors[8] = {};  // as many sums as a vector has lanes
  for (size_t k = 0; k < weights.size(); ++k) {
    const float clamped = std::min(std::max(weights[k] * inverse, floor), ceiling);
    const float rounded = (clamped + kRound) - kRound;
    const float miss = weights[k] - rounded * step;
    errors[k % 8] += miss * miss;
    q[k] = static_cast<int8_t>(rounded);
  }
  float error = 0;
  for (const float part : errors) error += part;
  return error;
}

Fit fit_of(std::span<const float> weights, const int8_t* q, int group_scale) {
  Fit fit;
  for (size_t k = 0; k < weights.size(); ++k) {
    const double factor = q[k] * group_scale;
    fit.wf += weights[k] * factor;
    fit.ff += factor * factor;
  }
  return fit;
}

void quantize_int8(std::span<const float> weights, QuantizedRow& out) {
  constexpr float kShrink[] = {1, 0.97F, 0.94F, 0.91F};
  const float most = largest(weights);
  float best_error = std::numeric_limits<float>::infinity();
  std::vector<int8_t> trial(weights.size());
  for (const float shrink : kShrink) {
    const float step = most * shrink / 127;
    const float error = round_all(weights, step, -127, 127, trial.data());
    if (error >= best_error) continue;
    best_error = error;
    out.scale = step;
    out.q.swap(trial);
  }
  const Fit fit = fit_of(weights, out.q.data(), 1);
  if (fit.ff > 0) out.scale = static_cast<float>(fit.wf / fit.ff);
}

// Rounds groups of a row, given the row's scale.
class Int4Rounder {
 public:
  Int4Rounder(std::span<const float> weights, QuantizedRow& out) : weights_(weights), out_(out) {}

  // Every group. Returns the fit of the row.
  Fit round(float scale) {
    Fit row;
    for (size_t g = 0; g < out_.group_scales.size(); ++g) row += round_group(g, scale);
    return row;
  }

  // Every `stride`-th group, and `largest_group`, whose error no sample may miss. Returns an
  // estimate of the row's squared error.
  double sample(float scale, size_t stride, size_t largest_group) {
    double sum = 0;
    for (size_t g = 0; g < out_.group_scales.size(); g += stride) {
      if (g == largest_group) continue;
      round_group(g, scale);
      sum += error_;
    }
    round_group(largest_group, scale);
    return sum * static_cast<double>(stride) + error_;
  }

 private:
  Fit round_group(size_t g, float scale) {
    const size_t first = g * kScaleGroup;
    const auto group =
        weights_.subspan(first, std::min<size_t>(kScaleGroup, weights_.size() - first));
    // -8 reaches further than 7: the smallest useful scale puts the largest weight at -8, and one
    // that clips it to 70 % is the smallest ever worth trying.
    const float need = largest(group) / (8 * scale);
    const int low = std::clamp(static_cast<int>(std::floor(need * 0.65F)), 1, 15);
    const int high = std::clamp(static_cast<int>(std::ceil(need * (8.0F / 7.0F))), low, 15);
    float best_error = std::numeric_limits<float>::infinity();
    int8_t trial[kScaleGroup];
    int8_t* q = out_.q.data() + first;
    for (int s = low; s <= high; ++s) {
      const float error = round_all(group, scale * static_cast<float>(s), -8, 7, trial);
      if (error >= best_error) continue;
      best_error = error;
      out_.group_scales[g] = static_cast<uint8_t>(s);
      std::copy_n(trial, group.size(), q);
    }
    error_ = best_error;
    return fit_of(group, q, out_.group_scales[g]);
  }

  std::span<const float> weights_;
  QuantizedRow& out_;
  double error_ = 0;  // squared, of the group rounded last
};

void quantize_int4(std::span<const float> weights, QuantizedRow& out) {
  // In shares of the scale at which the largest weight is 8 x 15 steps. Smaller ones clip that
  // weight's group and serve the others better.
  constexpr float kShares[] = {0.6F, 0.7F, 0.8F, 0.9F, 1.0F, 1.1F};
  constexpr size_t kSampledGroups = 24;
  const size_t stride = std::max<size_t>(out.group_scales.size() / kSampledGroups, 1);
  const auto most = std::max_element(weights.begin(), weights.end(),
                                     [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  const auto largest_group = static_cast<size_t>(most - weights.begin()) / kScaleGroup;
  Int4Rounder rounder(weights, out);
  float best = 0;
  double best_error = std::numeric_limits<double>::infinity();
  for (const float share : kShares) {
    const float scale = std::fabs(*most) / 120 * share;
    const double error = rounder.sample(scale, stride, largest_group);
    if (error >= best_error) continue;
    best_error = error;
    best = scale;
  }
  for (int pass = 0; pass < 2; ++pass) {
    const Fit fit = rounder.round(best);
    best = static_cast<float>(fit.wf / fit.ff);
  }
  out.scale = best;
}

}  // namespace

void quantize_row(Format format, std::span<const float> weights, QuantizedRow& out) {
  CHECK(format == Format::int8 || format == Format::int4);
  const size_t n_groups =
      format == Format::int4 ? (weights.size() + kScaleGroup - 1) / kScaleGroup : 0;
  out.scale = 0;
  out.q.assign(weights.size(), 0);
  out.group_scales.assign(n_groups, 1);
  // Below this a row is zero to every product that follows, and its scale would be a subnormal.
  const float most = largest(weights);
  if (most < 0x1p-100F) return;
  // A power of two changes no digit, and squared errors of small weights would be subnormal: less
  // exact, or zero on threads that flush them.
  const int exponent = std::min(std::ilogb(most), 100);  // its inverse is no subnormal, either
  std::vector<float> scaled(weights.begin(), weights.end());
  const float factor = std::ldexp(1.0F, -exponent);
  for (float& w : scaled) w *= factor;
  if (format == Format::int8) {
    quantize_int8(scaled, out);
  } else {
    quantize_int4(scaled, out);
  }
  out.scale = std::ldexp(out.scale, exponent);
}

}  // namespace dbrx
