#include "engine/scheduler.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"

namespace dbrx {
namespace {

bool before(const Sequence* a, const Sequence* b) {
  const auto key = [](const Sequence* s) {
    return std::tuple(s->owner->request->priority, s->owner->arrival, s->choice);
  };
  return key(a) < key(b);
}

template <typename Line>
void insert_in_order(Line& line, Sequence* sequence) {
  line.insert(std::upper_bound(line.begin(), line.end(), sequence, before), sequence);
}

bool is_decoding(const Sequence& sequence) {
  return sequence.n_computed > 0 && sequence.n_computed + 1 == sequence.n_tokens();
}

int64_t room(const Sequence& sequence) {
  return static_cast<int64_t>(sequence.blocks.size()) * kKvBlockTokens - sequence.n_computed;
}

// Blocks that the tokens known so far still need.
int64_t missing_blocks(const Sequence& sequence) {
  return blocks_for(sequence.n_tokens()) - static_cast<int64_t>(sequence.blocks.size());
}

// All memory that the sequence will need, so that its later steps do not allocate.
void reserve(Sequence& sequence) {
  const Request& request = *sequence.owner->request;
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  sequence.generated.reserve(static_cast<size_t>(request.stop.max_tokens));
  sequence.blocks.reserve(static_cast<size_t>(blocks_for(n_prompt + request.stop.max_tokens)));
}

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits, BlockPool& pool) : limits_(limits), pool_(pool) {
  CHECK_LE(1, limits_.max_sequences);
  CHECK_LE(limits_.max_sequences, limits_.max_rows);
  CHECK_LE(1, limits_.max_scoring_rows);
  running_.reserve(static_cast<size_t>(limits_.max_sequences));
  plan_.reserve(static_cast<size_t>(limits_.max_sequences));
}

void Scheduler::add(Sequence& sequence) {
  insert_in_order(waiting_, &sequence);
  sequence.state = Sequence::State::waiting;
}

const std::vector<Sequence*>& Scheduler::schedule() {
  rows_left_ = limits_.max_rows;
  scoring_rows_left_ = limits_.max_scoring_rows;
  for (Sequence* sequence : running_) sequence->n_rows = 0;
  // running_ may lose its last ones on the way, never one at or before the index.
  for (size_t i = 0; i < running_.size(); ++i) {
    if (is_decoding(*running_[i])) give_rows(i);
  }
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i]->n_rows == 0) give_rows(i);
  }
  start_waiting();

  plan_.clear();
  for (Sequence* sequence : running_) {
    if (sequence->n_rows > 0) plan_.push_back(sequence);
  }
  CHECK(!plan_.empty() || (running_.empty() && waiting_.empty()));
  return plan_;
}

Sequence& Scheduler::last_in_line() {
  return waiting_.empty() ? *running_.back() : *waiting_.front();
}

int64_t Scheduler::rows_for(const Sequence& sequence) const {
  const int64_t wanted = std::min(sequence.n_tokens() - sequence.n_computed, rows_left_);
  return sequence.scores_prompt() ? std::min(wanted, scoring_rows_left_) : wanted;
}

void Scheduler::take_rows(Sequence& sequence, int64_t n_rows) {
  sequence.n_rows = n_rows;
  rows_left_ -= n_rows;
  if (sequence.scores_prompt()) scoring_rows_left_ -= n_rows;
}

void Scheduler::give_rows(size_t index) {
  Sequence& sequence = *running_[index];
  const int64_t wanted = rows_for(sequence);
  if (wanted == 0) return;
  grow_blocks(index, wanted);
  take_rows(sequence, std::min(wanted, room(sequence)));
}

// Takes blocks until the sequence has room for n_rows, or for some of them, or has to sit out.
void Scheduler::grow_blocks(size_t index, int64_t n_rows) {
  Sequence& sequence = *running_[index];
  while (room(sequence) < n_rows) {
    if (pool_.n_free() > 0) {
      sequence.blocks.push_back(pool_.take());
    } else if (room(sequence) == 0 && index + 1 < running_.size()) {
      preempt_last();
    } else {
      return;
    }
  }
}

void Scheduler::preempt_last() {
  Sequence& victim = *running_.back();
  add(victim);  // first: it may throw
  running_.pop_back();
  pool_.give_back(victim.blocks);
  victim.n_computed = 0;
  rows_left_ += victim.n_rows;
  victim.n_rows = 0;
  ++victim.n_preemptions;
  ++n_preemptions_;
}

void Scheduler::start_waiting() {
  while (rows_left_ > 0 && !waiting_.empty() && n_running() < limits_.max_sequences) {
    Sequence& sequence = *waiting_.front();
    const int64_t n_rows = rows_for(sequence);
    if (n_rows == 0 || !fits(sequence)) return;  // nobody overtakes
    reserve(sequence);                           // first: it may throw
    waiting_.pop_front();
    sequence.state = Sequence::State::running;
    take_rows(sequence, n_rows);
    for (int64_t n = blocks_for(sequence.n_rows); n > 0; --n) {
      sequence.blocks.push_back(pool_.take());
    }
    insert_in_order(running_, &sequence);
  }
}

// A sequence starts when all its known tokens have room beside what the running ones still need for
// theirs, and one block more for each of these to grow into: starting what must be preempted at
// once would only compute the same prompt twice.
bool Scheduler::fits(const Sequence& sequence) const {
  int64_t n_promised = n_running();
  for (const Sequence* other : running_) n_promised += missing_blocks(*other);
  return missing_blocks(sequence) + n_promised <= pool_.n_free();
}

void Scheduler::remove(Sequence& sequence) {
  pool_.give_back(sequence.blocks);
  if (sequence.state == Sequence::State::waiting) {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &sequence));
  } else {
    CHECK(sequence.state == Sequence::State::running);
    running_.erase(std::find(running_.begin(), running_.end(), &sequence));
  }
  sequence.state = Sequence::State::finished;
}

}  // namespace dbrx
