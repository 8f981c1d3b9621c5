#include "engine/scheduler.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace dbrx {
namespace {

bool before(const Sequence* a, const Sequence* b) {
  const auto key = [](const Sequence* s) {
    return std::tuple(s->owner->request->priority, s->start);
  };
  return key(a) < key(b);
}

// Whose prompt goes on, or begins, first.
auto prompt_turn(const Sequence* s) {
  return std::tuple(s->owner->request->priority, s->client->served, s->start);
}

// Whether one that waits goes before a prompt that has begun.
bool goes_first(const Sequence& waiting, const Sequence& prompt) {
  const auto turn = [](const Sequence& s) {
    return std::pair(s.owner->request->priority, s.client->served);
  };
  return turn(waiting) < turn(prompt);
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

using OneBlock = std::array<int32_t, static_cast<size_t>(kKvBlockTokens)>;

OneBlock tokens_of_block(const Sequence& sequence, int64_t index) {
  OneBlock tokens;
  for (int64_t i = 0; i < kKvBlockTokens; ++i) {
    tokens[static_cast<size_t>(i)] = sequence.token(index * kKvBlockTokens + i);
  }
  return tokens;
}

// Whole blocks of a text before its last token: what it may share.
int64_t shareable_blocks(int64_t n_tokens) { return (n_tokens - 1) / kKvBlockTokens; }

}  // namespace

Scheduler::Scheduler(SchedulerLimits limits, BlockPool& pool)
    : limits_(limits), pool_(pool), pacer_(limits.prefill_slowdown, limits.max_rows) {
  CHECK_LE(1, limits_.max_sequences);
  CHECK_LE(limits_.max_sequences, limits_.max_rows);
  CHECK_LE(1, limits_.max_scoring_rows);
  running_.reserve(static_cast<size_t>(limits_.max_sequences));
  prompts_.reserve(static_cast<size_t>(limits_.max_sequences));
  plan_.reserve(static_cast<size_t>(limits_.max_sequences));
  prefix_.reserve(static_cast<size_t>(pool.n_blocks()));
}

void Scheduler::add(Sequence& sequence) {
  line_.add(sequence);
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
  rows_left_ = std::min(rows_left_, pacer_.prompt_rows(limits_.max_rows - rows_left_));
  give_prompt_rows();

  plan_.clear();
  n_decoding_rows_ = n_prompt_rows_ = 0;
  for (Sequence* sequence : running_) {
    if (sequence->n_rows == 0) continue;
    plan_.push_back(sequence);
    (is_decoding(*sequence) ? n_decoding_rows_ : n_prompt_rows_) += sequence->n_rows;
  }
  CHECK(!plan_.empty() || (running_.empty() && n_waiting() == 0) ||
        std::ranges::any_of(running_, &Sequence::is_choosing));
  return plan_;
}

void Scheduler::computed(Sequence& sequence) {
  sequence.n_computed += sequence.n_rows;
  if (!limits_.prefix_cache) return;
  while ((sequence.n_named + 1) * kKvBlockTokens <= sequence.n_computed) {
    const OneBlock tokens = tokens_of_block(sequence, sequence.n_named);
    const int32_t block = sequence.blocks[static_cast<size_t>(sequence.n_named)];
    sequence.last_name = pool_.name_block(block, sequence.last_name, tokens);
    ++sequence.n_named;
  }
}

void Scheduler::distrust(const Sequence& sequence) {
  for (const int32_t block : sequence.blocks) pool_.forget_unshared(block);
}

Sequence& Scheduler::last_in_line() {
  Sequence* next = next_in_line();
  return next != nullptr ? *next : *running_.back();
}

// Of the tokens that are missing.
int64_t Scheduler::rows_for(const Sequence& sequence, int64_t n_missing) const {
  const int64_t wanted = std::min(n_missing, rows_left_);
  return sequence.scores_prompt() ? std::min(wanted, scoring_rows_left_) : wanted;
}

void Scheduler::take_rows(Sequence& sequence, int64_t n_rows) {
  sequence.n_rows = n_rows;
  rows_left_ -= n_rows;
  if (sequence.scores_prompt()) scoring_rows_left_ -= n_rows;
  // At once, so that the next one to start in this step is another client's. What is computed again
  // after an eviction is not its doing.
  const int64_t end = sequence.n_computed + n_rows;
  const int64_t n_new = std::min(end - sequence.n_charged, n_rows);
  if (n_new <= 0) return;
  FairLine::charge(sequence, static_cast<double>(n_new));
  sequence.n_charged = end;
}

void Scheduler::give_rows(size_t index) {
  Sequence& sequence = *running_[index];
  const int64_t wanted = rows_for(sequence, sequence.n_tokens() - sequence.n_computed);
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
      preempt(*running_.back());
    } else {
      return;
    }
  }
}

void Scheduler::preempt(Sequence& victim) {
  insert_in_order(evicted_, &victim);  // first: it may throw
  running_.erase(std::find(running_.begin(), running_.end(), &victim));
  --victim.client->n_running;
  pool_.give_back(victim.blocks);
  victim.state = Sequence::State::waiting;
  victim.n_computed = victim.n_named = 0;
  victim.last_name = kNoBlock;
  rows_left_ += victim.n_rows;
  if (victim.scores_prompt()) scoring_rows_left_ += victim.n_rows;
  victim.n_rows = 0;
  ++victim.n_preemptions;
  ++n_preemptions_;
}

// Null: nobody waits.
Sequence* Scheduler::next_in_line() const {
  Sequence* fresh = line_.next();
  if (evicted_.empty()) return fresh;
  Sequence* evicted = evicted_.front();
  if (fresh == nullptr) return evicted;
  const auto turn = [](const Sequence& sequence) {
    return std::pair(sequence.owner->request->priority, sequence.client->n_running > 0);
  };
  return turn(*fresh) < turn(*evicted) ? fresh : evicted;
}

// Of the client that has most places, and two at least, the one that has least to lose; null where
// there is none whose priority is not better than that of the one who would take its place.
Sequence* Scheduler::who_makes_room(const Sequence& for_whom) const {
  Sequence* victim = nullptr;
  const auto key = [](const Sequence& s) { return std::pair(s.client->n_running, -s.n_computed); };
  for (Sequence* sequence : running_) {
    if (sequence->client->n_running < 2 || sequence->is_choosing()) continue;
    if (sequence->owner->request->priority < for_whom.owner->request->priority) continue;
    if (victim == nullptr || key(*sequence) >= key(*victim)) victim = sequence;
  }
  return victim;
}

// To prompts that have begun, and to the next in line while they may start.
void Scheduler::give_prompt_rows() {
  prompts_.clear();
  for (Sequence* sequence : running_) {
    if (sequence->n_rows == 0) prompts_.push_back(sequence);
  }
  bool may_start = true;
  Sequence* prompt = take_next_prompt();
  while (rows_left_ > 0) {
    Sequence* next = may_start ? next_in_line() : nullptr;
    if (next != nullptr && (prompt == nullptr || goes_first(*next, *prompt))) {
      may_start = try_start(*next);  // nobody overtakes
      continue;
    }
    if (prompt == nullptr) return;
    // It may have been evicted meanwhile, and even started again.
    const auto at = std::find(running_.begin(), running_.end(), prompt);
    if (at != running_.end() && prompt->n_rows == 0) {
      give_rows(static_cast<size_t>(at - running_.begin()));
    }
    prompt = take_next_prompt();
  }
}

// Null: none is left.
Sequence* Scheduler::take_next_prompt() {
  if (prompts_.empty()) return nullptr;
  const auto next = std::ranges::min_element(prompts_, {}, prompt_turn);
  Sequence* prompt = *next;
  prompts_.erase(next);
  return prompt;
}

bool Scheduler::try_start(Sequence& sequence) {
  if (waits_for_prompt(sequence)) return false;
  // Who runs nothing need not wait until another client, who has several places, has finished.
  Sequence* victim = nullptr;
  if (sequence.client->n_running == 0) victim = who_makes_room(sequence);
  if (n_running() == limits_.max_sequences && victim == nullptr) return false;
  find_prefix(sequence);
  const int64_t n_found = std::ssize(prefix_) * kKvBlockTokens;
  const int64_t n_rows = rows_for(sequence, sequence.n_tokens() - n_found);
  if (n_rows == 0) return false;
  if (n_running() == limits_.max_sequences || !fits(sequence, nullptr)) {
    if (victim == nullptr || !fits(sequence, victim)) return false;
    preempt(*victim);
  }
  start(sequence, n_rows);
  return true;
}

// With the blocks that were found.
void Scheduler::start(Sequence& sequence, int64_t n_rows) {
  reserve(sequence);  // first: it may throw
  const int64_t n_found = std::ssize(prefix_) * kKvBlockTokens;
  if (sequence.start >= 0) {
    evicted_.erase(std::find(evicted_.begin(), evicted_.end(), &sequence));
  } else {
    line_.take(sequence);
    sequence.start = n_started_++;
    sequence.n_cached = n_found;
    n_prefix_hits_ += n_found;
    if (shares_blocks(sequence)) n_prefix_queries_ += sequence.n_tokens();
  }
  sequence.state = Sequence::State::running;
  ++sequence.client->n_running;
  for (const int32_t block : prefix_) {
    pool_.share(block);
    sequence.blocks.push_back(block);
  }
  sequence.n_computed = n_found;
  sequence.n_named = std::ssize(prefix_);
  sequence.last_name = prefix_.empty() ? kNoBlock : pool_.name(prefix_.back());
  take_rows(sequence, n_rows);
  while (room(sequence) < n_rows) sequence.blocks.push_back(pool_.take());
  insert_in_order(running_, &sequence);
}

// A choice waits while another one of its request computes the prompt that it can share: that is
// the sooner done the fewer rows the step has.
bool Scheduler::waits_for_prompt(const Sequence& sequence) const {
  if (!shares_blocks(sequence)) return false;
  const ActiveRequest& owner = *sequence.owner;
  const int64_t n_shared = shareable_blocks(std::ssize(owner.request->prompt));
  return std::ranges::any_of(owner.choices, [&](const Sequence& other) {
    return other.state == Sequence::State::running && other.n_named < n_shared;
  });
}

// Rows whose routing or logprobs are wanted have to be computed.
bool Scheduler::shares_blocks(const Sequence& sequence) const {
  const Request& request = *sequence.owner->request;
  return limits_.prefix_cache && !request.routed_experts && !request.prompt_logprobs;
}

void Scheduler::find_prefix(const Sequence& sequence) {
  prefix_.clear();
  if (!shares_blocks(sequence)) return;
  BlockName name = kNoBlock;
  for (int64_t i = 0; i < shareable_blocks(sequence.n_tokens()); ++i) {
    const int32_t block = pool_.find(name, tokens_of_block(sequence, i));
    if (block < 0) return;
    prefix_.push_back(block);
    name = pool_.name(block);
  }
}

// A sequence starts when all its known tokens have room beside what the running ones still need for
// theirs, and one block more for each of these to grow into: starting what must be preempted at
// once would only compute the same prompt twice. Found blocks that others have need no room.
// `victim` would go first, and gives back the blocks that are its alone.
bool Scheduler::fits(const Sequence& sequence, const Sequence* victim) const {
  int64_t n_promised = 0;
  for (const Sequence* other : running_) {
    if (other != victim) n_promised += 1 + missing_blocks(*other);
  }
  const int64_t n_shared =
      std::ranges::count_if(prefix_, [&](int32_t block) { return !pool_.is_free(block); });
  int64_t n_given = 0;
  for (size_t i = 0; victim != nullptr && i < victim->blocks.size(); ++i) {
    const int32_t block = victim->blocks[i];
    n_given += pool_.has_one_owner(block) && std::ranges::find(prefix_, block) == prefix_.end();
  }
  return blocks_for(sequence.n_tokens()) - n_shared + n_promised <= pool_.n_free() + n_given;
}

void Scheduler::remove(Sequence& sequence) {
  pool_.give_back(sequence.blocks);
  if (sequence.state == Sequence::State::running) {
    running_.erase(std::find(running_.begin(), running_.end(), &sequence));
    --sequence.client->n_running;
  } else {
    CHECK(sequence.state == Sequence::State::waiting);
    if (sequence.start < 0) {
      line_.take(sequence);
    } else {
      evicted_.erase(std::find(evicted_.begin(), evicted_.end(), &sequence));
    }
  }
  FairLine::leave(sequence);
  sequence.state = Sequence::State::finished;
}

}  // namespace dbrx
