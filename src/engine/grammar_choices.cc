#include "engine/grammar_choices.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/thread_clock.h"

namespace dbrx {
namespace {

// The step's own logits are gone with the next one.
void keep_logits(GrammarChoice& choice) {
  const std::lock_guard lock(choice.mutex);
  if (!choice.needs_logits || !choice.late_logits.empty()) return;
  try {
    choice.late_logits.assign(choice.logits.begin(), choice.logits.end());
  } catch (const std::bad_alloc&) {
    choice.late_logits.clear();  // the worker finds none
  }
  choice.logits = choice.late_logits;
}

std::string explain_failure(const std::exception& why) {
  try {
    if (dynamic_cast<const std::bad_alloc*>(&why) == nullptr) return why.what();
  } catch (const std::bad_alloc&) {
    return "out of memory";
  }
  return "out of memory";
}

}  // namespace

GrammarChoices::Lanes::Lanes(size_t n_threads)
    : fast("mask", n_threads, std::max<size_t>(n_threads / 2, 1)),
      slow("slow-mask", std::max<size_t>(n_threads / 4, 1)) {}

GrammarChoices::GrammarChoices(const Sampler& sampler, std::span<const int32_t> eos_ids,
                               int64_t vocab_size, size_t n_threads)
    : sampler_(sampler), eos_ids_(eos_ids), vocab_size_(vocab_size), n_threads_(n_threads) {}

GrammarChoices::~GrammarChoices() {
  for (Sequence* sequence : pending_) sequence->grammar->unwanted = true;
}

void GrammarChoices::begin(Sequence& sequence, std::span<const float> logits) {
  if (!lanes_) lanes_.emplace(n_threads_);
  if (!sequence.grammar) sequence.grammar = std::make_unique<GrammarChoice>();
  pending_.reserve(pending_.size() + 1);  // all that may throw comes first
  GrammarChoice& choice = *sequence.grammar;
  const bool is_slow = std::chrono::duration<double>(choice.seconds) > patience_;
  choice.token = {.id = -1, .top = {}};
  choice.failure.clear();
  choice.needs_logits = true;
  choice.logits = logits;
  if (is_slow) keep_logits(choice);
  choice.done = false;
  choice.awaited = !is_slow;
  {
    const std::lock_guard lock(mutex_);
    if (choice.awaited) ++n_awaited_;
  }
  try {
    FairWorkers& workers = is_slow ? lanes_->slow : lanes_->fast;
    workers.post(sequence.owner->request->client, [this, &sequence] { choose(sequence); });
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (choice.awaited) --n_awaited_;
    throw;
  }
  choice.pending = true;
  pending_.push_back(&sequence);
}

void GrammarChoices::wait(std::chrono::nanoseconds patience) {
  patience_ = patience;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return n_awaited_ == 0; });
    n_awaited_ = 0;
    for (Sequence* sequence : pending_) sequence->grammar->awaited = false;
  }
  for (Sequence* sequence : pending_) keep_logits(*sequence->grammar);
}

void GrammarChoices::wait_for_any(std::chrono::nanoseconds patience) {
  const auto is_done = [](const Sequence* sequence) { return sequence->grammar->done; };
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return std::ranges::any_of(pending_, is_done); });
}

Sequence* GrammarChoices::take() {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(
      pending_, [](const Sequence* sequence) { return sequence->grammar->done; });
  if (found == pending_.end()) return nullptr;
  Sequence* sequence = *found;
  pending_.erase(found);
  sequence->grammar->pending = false;
  sequence->grammar->late_logits = {};
  return sequence;
}

// On a worker.
void GrammarChoices::choose(Sequence& sequence) {
  GrammarChoice& choice = *sequence.grammar;
  const double begin = thread_seconds();
  try {
    Scratch scratch = take_scratch();
    if (!choice.unwanted) choose_with(sequence, *scratch);
    const std::lock_guard lock(mutex_);
    scratch_.push_back(std::move(scratch));
  } catch (const std::exception& error) {
    choice.token.id = -1;
    choice.failure = explain_failure(error);
  }
  choice.seconds = thread_seconds() - begin;
  {
    const std::lock_guard lock(choice.mutex);
    choice.needs_logits = false;
  }
  const std::lock_guard lock(mutex_);
  choice.done = true;
  if (std::exchange(choice.awaited, false)) --n_awaited_;
  changed_.notify_one();
}

// Throws what grammars do.
void GrammarChoices::choose_with(Sequence& sequence, ChoiceScratch& scratch) const {
  GrammarChoice& choice = *sequence.grammar;
  const Request& request = *sequence.owner->request;
  if (!choice.matcher) choice.matcher = request.grammar->start();
  collect_allowed(request, eos_ids_, *choice.matcher, scratch);
  {
    const std::lock_guard lock(choice.mutex);
    choice.needs_logits = false;
    if (choice.logits.empty()) throw std::bad_alloc();
    if (!choose_token(sampler_, eos_ids_, sequence, choice.logits, scratch, choice.token)) {
      choice.token.id = -1;
      return;
    }
  }
  if (!is_stop(request, eos_ids_, choice.token.id)) choice.matcher->accept(choice.token.id);
}

GrammarChoices::Scratch GrammarChoices::take_scratch() {
  {
    const std::lock_guard lock(mutex_);
    if (!scratch_.empty()) {
      Scratch scratch = std::move(scratch_.back());
      scratch_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<ChoiceScratch>(vocab_size_);
}

}  // namespace dbrx
