#include "engine/prefill_pacer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace dbrx {
namespace {

constexpr double kFirstChunk = 16;
constexpr double kSmoothing = 0.5;      // weight of the newest measurement
constexpr int64_t kStepsToTrust = 64;   // contexts grow: then measure again without prompts
constexpr double kLeastSeconds = 1e-9;  // a clock may stand still
constexpr double kLeastShare = 0.25;    // of the rate alone
constexpr double kEnoughShare = 0.4;    // a chunk of less than this rate is not made shorter

}  // namespace

PrefillPacer::PrefillPacer(double max_slowdown, int64_t max_rows)
    : max_slowdown_(max_slowdown),
      max_rows_(static_cast<double>(max_rows)),
      chunk_(std::min(kFirstChunk, max_rows_)) {
  CHECK(max_slowdown == 0 || max_slowdown > 1);
}

size_t PrefillPacer::level(int64_t n_decoding) {
  return std::min<size_t>(std::bit_width(static_cast<uint64_t>(n_decoding)), 15);
}

int64_t PrefillPacer::prompt_rows(int64_t n_decoding) const {
  if (max_slowdown_ == 0 || n_decoding == 0) return static_cast<int64_t>(max_rows_);
  const Level& at = levels_[level(n_decoding)];
  if (!at.known || at.n_since >= kStepsToTrust) return 0;
  return static_cast<int64_t>(chunk_);
}

void PrefillPacer::measured(int64_t n_decoding, int64_t n_prompt_rows, double seconds) {
  if (max_slowdown_ == 0) return;
  const auto n = static_cast<double>(n_prompt_rows);
  const double rate = n / std::max(seconds, kLeastSeconds);
  if (n_decoding == 0) {
    // Short prompts alone have low rates.
    const bool is_long = n >= max_rows_ / 2;
    if (is_long || rate > rate_alone_) rate_alone_ += kSmoothing * (rate - rate_alone_);
    return;
  }
  Level& at = levels_[level(n_decoding)];
  if (n_prompt_rows == 0) {
    at.seconds = at.known ? at.seconds + kSmoothing * (seconds - at.seconds) : seconds;
    at.seconds = std::max(at.seconds, kLeastSeconds);
    at.known = true;
    at.n_since = 0;
    return;
  }
  if (!at.known) return;
  ++at.n_since;
  const double extra = std::max(seconds - at.seconds, kLeastSeconds);
  double wanted = n * (max_slowdown_ - 1) * at.seconds / extra;
  if (rate < kLeastShare * rate_alone_) {
    wanted = 2 * n;
  } else if (rate < kEnoughShare * rate_alone_) {
    wanted = std::max(wanted, n);
  }
  // A short chunk that was quick enough says nothing about longer ones.
  if (n < std::floor(chunk_) && wanted >= n) return;
  const double next = std::clamp(wanted, chunk_ / 2, chunk_ * 2);
  chunk_ = std::clamp(chunk_ + kSmoothing * (next - chunk_), 1.0, max_rows_);
}

}  // namespace dbrx
