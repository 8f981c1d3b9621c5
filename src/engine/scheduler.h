// Who runs in the next step, and by how many tokens.
//
// A step has max_rows rows. Sequences that generate get one each; what is left, or what their pace
// allows (prefill_pacer.h), goes to prompts, in chunks, and to waiting sequences, which start while
// there are rows, places and blocks: better priorities first, then clients that were served less,
// then those that started first. The line has better priorities first, then those that have run
// before, then whose turn it is (fair_line.h); those that run stand in the order in which they
// started. A sequence that needs a block when none is free takes one from the last of the
// running ones: that one loses all its blocks, waits at the head of its priority, and goes on from
// what can still be found of them. The last one itself just sits out the step, holding what it has.
// So the first in order always gets blocks, and every request ends. One whose next token is still
// being chosen (grammar_choices.h) has nothing to compute, and sits out as well.
//
// A client that runs nothing does not wait for the end of another one's many: where there is no
// place for it, or no block, the client that has most places gives one up, of the sequence for
// which least was computed. Those of a client that still runs something wait behind it.
//
// A sequence begins with the blocks that hold the beginning of its text already (block_pool.h),
// but for its last token, which is always computed. Rows of a prompt whose logprobs are wanted need
// logits, and of those a step has few: they are taken from max_scoring_rows as well.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "engine/block_pool.h"
#include "engine/fair_line.h"
#include "engine/prefill_pacer.h"
#include "engine/sequence.h"

namespace dbrx {

struct SchedulerLimits {
  int64_t max_sequences = 0;      // that run at a time, <= max_rows
  int64_t max_rows = 0;           // of one step
  int64_t max_scoring_rows = 64;  // of one step
  bool prefix_cache = true;       // blocks are found by what they hold
  double prefill_slowdown = 0;    // see PrefillPacer
};

class Scheduler {
 public:
  Scheduler(SchedulerLimits limits, BlockPool& pool);

  // Puts a new sequence in line. It stays where it is in memory until remove().
  void add(Sequence& sequence);

  // The sequences of the next step, each with n_rows > 0 and blocks for them. Valid until the next
  // call; empty when there is nothing to do, unless a token is chosen. May be called again after
  // std::bad_alloc.
  const std::vector<Sequence*>& schedule();

  // Tells that the rows of a sequence of the plan are computed: whoever has the same text may share
  // the blocks that they completed.
  void computed(Sequence& sequence);

  // Tells that what was computed for a sequence is of no use: nobody shall share its blocks who
  // does not do so already.
  void distrust(const Sequence& sequence);

  // Tells how long the step took that was scheduled last.
  void took(double seconds) { pacer_.measured(n_decoding_rows_, n_prompt_rows_, seconds); }

  // Who has to go when memory is short: who would start next, else who would be evicted first.
  Sequence& last_in_line();

  // Takes a sequence out, from wherever it is, and frees its blocks.
  void remove(Sequence& sequence);

  int64_t n_running() const { return static_cast<int64_t>(running_.size()); }
  int64_t n_waiting() const { return static_cast<int64_t>(evicted_.size()) + line_.size(); }
  int64_t n_preemptions() const { return n_preemptions_; }
  int64_t n_prefix_queries() const { return n_prefix_queries_; }  // tokens, see EngineStats
  int64_t n_prefix_hits() const { return n_prefix_hits_; }

 private:
  int64_t rows_for(const Sequence& sequence, int64_t n_missing) const;
  void take_rows(Sequence& sequence, int64_t n_rows);
  void give_rows(size_t index);
  void give_prompt_rows();
  Sequence* take_next_prompt();
  void grow_blocks(size_t index, int64_t n_rows);
  void preempt(Sequence& victim);
  Sequence* who_makes_room(const Sequence& for_whom) const;
  Sequence* next_in_line() const;
  bool try_start(Sequence& sequence);
  void start(Sequence& sequence, int64_t n_rows);
  bool waits_for_prompt(const Sequence& sequence) const;
  bool shares_blocks(const Sequence& sequence) const;
  void find_prefix(const Sequence& sequence);
  bool fits(const Sequence& sequence, const Sequence* victim) const;

  SchedulerLimits limits_;
  BlockPool& pool_;
  PrefillPacer pacer_;
  FairLine line_;                   // that have not run
  std::deque<Sequence*> evicted_;   // in the order of running_
  std::vector<Sequence*> running_;  // by priority, then start
  std::vector<Sequence*> prompts_;  // running, that may still get rows in this step
  std::vector<Sequence*> plan_;     // of this step
  std::vector<int32_t> prefix_;     // found blocks of the one that may start
  int64_t rows_left_ = 0;           // of this step
  int64_t scoring_rows_left_ = 0;   // of this step
  int64_t n_decoding_rows_ = 0;     // of this step
  int64_t n_prompt_rows_ = 0;       // of this step
  int64_t n_started_ = 0;
  int64_t n_preemptions_ = 0;
  int64_t n_prefix_queries_ = 0;
  int64_t n_prefix_hits_ = 0;
};

}  // namespace dbrx
