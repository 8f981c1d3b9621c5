// Who runs in the next step, and by how many tokens. First come, first served within a priority.
//
// A step has max_rows rows. Sequences that generate get one each; what is left goes to prompts, in
// order, in chunks; then waiting sequences start while there are rows, places and blocks. A
// sequence that needs a block when none is free takes one from the last of the running ones: that
// one loses all its blocks, waits again at its old place and is later computed again, prompt and
// generated tokens alike. The last one itself just sits out the step, holding what it has. So the
// first in order always advances, and every request ends.
//
// Rows of a prompt whose logprobs are wanted need logits, and of those a step has few: they are
// taken from max_scoring_rows as well.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/block_pool.h"
#include "engine/sequence.h"

namespace dbrx {

struct SchedulerLimits {
  int64_t max_sequences = 0;      // that run at a time, <= max_rows
  int64_t max_rows = 0;           // of one step
  int64_t max_scoring_rows = 64;  // of one step
};

class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, BlockPool& pool);

  // Puts a new sequence in line. It stays where it is in memory until remove().
  void add(Sequence& sequence);

  // The sequences of the next step, each with n_rows > 0 and blocks for them. Valid until the next
  // call; empty when there is nothing to do. May be called again after std::bad_alloc.
  const std::vector<Sequence*>& schedule();

  // Who has to go when memory is short: who would start next, else who would be evicted first.
  Sequence& last_in_line();

  // Takes a sequence out, from wherever it is, and frees its blocks.
  void remove(Sequence& sequence);

  int64_t n_running() const { return static_cast<int64_t>(running_.size()); }
  int64_t n_waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t n_preemptions() const { return n_preemptions_; }

 private:
  int64_t rows_for(const Sequence& sequence) const;
  void take_rows(Sequence& sequence, int64_t n_rows);
  void give_rows(size_t index);
  void grow_blocks(size_t index, int64_t n_rows);
  void preempt_last();
  void start_waiting();
  bool fits(const Sequence& sequence) const;

  SchedulerLimits limits_;
  BlockPool& pool_;
  std::deque<Sequence*> waiting_;   // by priority, then arrival, then choice
  std::vector<Sequence*> running_;  // in the same order
  std::vector<Sequence*> plan_;     // of this step
  int64_t rows_left_ = 0;           // of this step
  int64_t scoring_rows_left_ = 0;   // of this step
  int64_t n_preemptions_ = 0;
};

}  // namespace dbrx
