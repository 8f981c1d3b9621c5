// How requests come in and leave: the first line of a step, and what is shared with other threads.
#include <algorithm>
#include <exception>
#include <mutex>
#include <new>
#include <span>

#include "engine/engine_state.h"

namespace dbrx {

// Of missing memory in a string that needs none.
std::string explain(const std::exception& why) {
  const bool no_memory = dynamic_cast<const std::bad_alloc*>(&why) != nullptr;
  return no_memory ? "out of memory" : why.what();
}

// Puts what was submitted in line and ends what was cancelled. False when there was neither.
bool Engine::State::admit() {
  bool abort = false;
  {
    const std::lock_guard lock(mutex);
    arrivals.swap(inbox);
    abort = aborting;
  }
  const bool any_arrived = !arrivals.empty();
  for (const Arrival& arrival : arrivals) {
    try {
      put_in_line(arrival);
    } catch (const std::exception& error) {
      refuse(arrival, error);
    }
  }
  arrivals.clear();
  return end_cancelled(abort) || any_arrived;
}

// All of it or, when it throws, nothing.
void Engine::State::put_in_line(const Arrival& arrival) {
  auto entry = std::make_unique<ActiveRequest>();
  entry->request = arrival.request;
  entry->seed = arrival.seed;
  entry->submitted = arrival.submitted;
  entry->arrival = n_arrived++;
  entry->n_unfinished = entry->request->n_choices;
  entry->stops = stop_patterns(entry->request->stop.stop);
  entry->choices.resize(static_cast<size_t>(entry->n_unfinished));
  ActiveRequest& owner = *entry;
  int32_t n_added = 0;
  try {
    for (Sequence& sequence : owner.choices) {
      sequence.owner = &owner;
      sequence.choice = n_added;
      if (tokenizer != nullptr) sequence.text.emplace(*tokenizer, *owner.request, owner.stops);
      scheduler.add(sequence);
      ++n_added;
    }
    active.push_back(std::move(entry));
  } catch (...) {
    for (Sequence& sequence : std::span(owner.choices).first(static_cast<size_t>(n_added))) {
      scheduler.remove(sequence);
    }
    throw;
  }
  n_unstarted_choices += n_added;
}

// Ends a request that is not in line.
void Engine::State::refuse(const Arrival& arrival, const std::exception& why) {
  {
    const std::lock_guard lock(mutex);
    queued.give_back(arrival.request->client);
  }
  publish();
  const Request& request = *arrival.request;
  for (int32_t choice = 0; choice < request.n_choices; ++choice) {
    Event refusal;
    refusal.choice = choice;
    refusal.finish = FinishReason::error;
    refusal.error = explain(why);
    refusal.last = choice + 1 == request.n_choices;
    refusal.usage.prompt_tokens = static_cast<int64_t>(request.prompt.size());
    refusal.seed = arrival.seed;
    refusal.times.submitted = arrival.submitted;
    refusal.times.now = now;
    const bool last = refusal.last;
    try {
      request.sink(std::move(refusal));
    } catch (...) {
      if (last && request.lost) request.lost();
    }
  }
}

bool Engine::State::end_cancelled(bool all) {
  bool any = false;
  for (const auto& entry : active) {
    if (entry->n_unfinished == 0) continue;  // a token is still being chosen
    if (entry->sink_threw) {
      end_choices(*entry, FinishReason::error, "the answer could not be handed on");
    } else if (all || entry->request->cancelled.load(std::memory_order_acquire)) {
      end_choices(*entry, FinishReason::cancelled, "");
    } else if (!end_cancelled_choices(*entry)) {
      continue;
    }
    any = true;
  }
  if (any) drop_finished();
  return any;
}

bool Engine::State::end_cancelled_choices(ActiveRequest& entry) {
  const std::vector<std::atomic<bool>>& cancelled = entry.request->cancelled_choices;
  bool any = false;
  for (size_t i = 0; i < cancelled.size(); ++i) {
    Sequence& sequence = entry.choices[i];
    if (sequence.state == Sequence::State::finished) continue;
    if (!cancelled[i].load(std::memory_order_acquire)) continue;
    finish(sequence, FinishReason::cancelled, "");
    any = true;
  }
  return any;
}

void Engine::State::leave_queue(const ActiveRequest& owner) {
  n_unstarted_choices -= static_cast<int64_t>(owner.choices.size());
  const std::lock_guard lock(mutex);
  queued.give_back(owner.request->client);
}

// But for those whose memory a worker uses.
void Engine::State::drop_finished() {
  std::erase_if(active, [](const std::unique_ptr<ActiveRequest>& entry) {
    return entry->n_unfinished == 0 && std::ranges::none_of(entry->choices, &Sequence::is_choosing);
  });
}

// Sleeps until there is something to do. False when there never will be again.
bool Engine::State::wait_for_work() {
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return stopping || !inbox.empty() || !active.empty(); });
  return !inbox.empty() || !active.empty();
}

}  // namespace dbrx
