// Tokens of sequences with grammars, chosen aside of the engine's thread. What a grammar allows
// takes microseconds to find as a rule, and seconds at worst, and nobody knows before. So a step
// waits only a moment for it: a sequence whose token is not there by then sits out the steps until
// it is, while all others go on. Which token it is does not depend on that.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/fair_workers.h"
#include "engine/token_choice.h"

namespace dbrx {

class GrammarChoices {
 public:
  // n_threads: tokens that are chosen at a time, of one client half of them; those of sequences
  // that were slow the last time have threads of their own, a quarter of as many. All three outlive
  // it.
  GrammarChoices(const Sampler& sampler, std::span<const int32_t> eos_ids, int64_t vocab_size,
                 size_t n_threads);
  ~GrammarChoices();  // waits for what is being chosen

  // Begins to choose the sequence's next token. It stays where it is in memory, as it is but for
  // blocks and state, until take() has returned it. The logits stay as they are until wait().
  void begin(Sequence& sequence, std::span<const float> logits);

  // Until all that began since the last call are chosen but those that were slow the last time, or
  // until the time is up.
  void wait(std::chrono::nanoseconds patience);

  // Until some token is chosen, or the time is up.
  void wait_for_any(std::chrono::nanoseconds patience);

  // A sequence whose token is chosen (sequence.choosing), each once; null: none at this moment.
  Sequence* take();

  bool empty() const { return pending_.empty(); }

 private:
  using Scratch = std::unique_ptr<ChoiceScratch>;
  struct Lanes {
    explicit Lanes(size_t n_threads);

    FairWorkers fast;
    FairWorkers slow;
  };

  void choose(Sequence& sequence);
  void choose_with(Sequence& sequence, ChoiceScratch& scratch) const;
  Scratch take_scratch();

  const Sampler& sampler_;
  std::span<const int32_t> eos_ids_;
  const int64_t vocab_size_;
  const size_t n_threads_;
  std::chrono::nanoseconds patience_{0};  // of the last wait(), the engine thread's
  std::vector<Sequence*> pending_;        // the engine thread's
  std::mutex mutex_;                      // guards what is below, and GrammarChoice::done
  std::condition_variable changed_;
  size_t n_awaited_ = 0;
  std::vector<Scratch> scratch_;  // that nobody uses
  std::optional<Lanes> lanes_;    // from the first token on; last: they use all of the above
};

}  // namespace dbrx
