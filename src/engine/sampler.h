// From one row of logits to one token. Pure: the answer depends on the arguments only.
//
// In this order, all in double, l[i] the raw logit of id i:
// clang-format off
//   repetition   l > 0 ? l / p : l * p     once per id that is in the prompt or was generated
//   presence     l - p                     ids generated at least once
//   frequency    l - p * n                 n: times generated; together l - (n * frequency + presence)
//   logit_bias   l + b                     each entry, in the order given
//   mask         l = -inf                  ids that can't be (Sampler's constructor), banned ones,
//                                          those that are not allowed
//   temperature  0: the largest l wins, the lower id of equal ones; done. Otherwise
//                w[i] = floor(2^45 exp((l[i] - max l) / T)), an unnormalised softmax
//   top_k        the k largest l stay, the lower id of equal ones
//   top_p        of the rest, by descending w and ascending id, the shortest beginning whose sum is
//                >= top_p * (sum of all w) stays
//   min_p        w >= floor(2^45 min_p) stays
//   draw         over what is left, by ascending id: the first id at which the running sum of w
//                exceeds floor(u * (its final value)), u the uniform of (seed, choice, position)
// clang-format on
// Weights are integers, so that sums do not depend on the order in which they are taken; up to 2^18
// ids their sum fits 64 bits.
//
// Logprobs are of the raw logits: float(l[i] - max l - ln(sum of exp(l[i] - max l))), the sum by
// ascending id over all of them, masked ones included. Temperature, penalties and masks leave them
// alone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"

namespace dbrx {

struct SampleArgs {
  std::span<const float> logits;  // [vocab]
  const SamplingParams& params;
  std::span<const int32_t> prompt;
  std::span<const int32_t> generated;
  std::span<const int32_t> banned;  // ids that this token may not be
  // [ceil(vocab / 32)], bit i % 32 of word i / 32: whether it may be i. Empty: any.
  std::span<const uint32_t> allowed = {};
  double uniform = 0;  // in [0, 1)
  std::optional<int32_t> top_logprobs;
};

// Memory of one call, kept between calls. One per thread that samples. Move-only: a copy would lack
// the room that is reserved.
class SampleScratch {
 public:
  explicit SampleScratch(int64_t vocab_size);
  SampleScratch(SampleScratch&&) = default;
  SampleScratch& operator=(SampleScratch&&) = default;

 private:
  friend class Sampler;
  struct Scored {
    double score;  // a logit
    int32_t id;
  };
  struct Weighted {
    uint64_t weight;
    int32_t id;
  };
  std::vector<double> logits_;        // [vocab], processed
  std::vector<int32_t> counts_;       // [vocab], times generated; zero between calls
  std::vector<char> seen_;            // [vocab], in prompt or generated; zero between calls
  std::vector<Scored> top_;           // at most vocab, of select_top()
  std::vector<Weighted> candidates_;  // at most vocab, ascending id
  std::vector<Weighted> ranked_;      // at most vocab, of keep_top_p()
};

class Sampler {
 public:
  // masked_ids: never sampled, whatever the request says (ids without a token, whose logits are
  // untrained).
  Sampler(int64_t vocab_size, std::vector<int32_t> masked_ids);

  // Chooses the token and, when asked, its logprobs. False when no token can be chosen: a logit is
  // NaN or +inf, or every id is masked. Allocates only for `top`. Thread-safe with one scratch per
  // thread.
  bool sample(const SampleArgs& args, SampleScratch& scratch, TokenInfo& out) const;

  // The logprob and rank of a token that is known, with n_top alternatives. Rank: one more than the
  // ids whose logits are larger. False when a logit is NaN or +inf. Thread-safe as sample is.
  static bool score(std::span<const float> logits, int32_t token, int32_t n_top,
                    SampleScratch& scratch, TokenInfo& out);

 private:
  bool process_logits(const SampleArgs& args, SampleScratch& scratch) const;
  static void apply_penalties(const SampleArgs& args, SampleScratch& scratch);
  static int32_t greedy(const SampleScratch& scratch);
  static int32_t draw(const SampleArgs& args, SampleScratch& scratch);
  static void weigh(const SamplingParams& params, SampleScratch& scratch);
  static void keep_top_p(double top_p, SampleScratch& scratch);
  static void logprobs(std::span<const float> logits, int32_t n_top, SampleScratch& scratch,
                       TokenInfo& out);
  template <typename T>
  static void select_top(std::span<const T> scores, size_t k, SampleScratch& scratch);

  std::vector<int32_t> masked_ids_;
};

}  // namespace dbrx
