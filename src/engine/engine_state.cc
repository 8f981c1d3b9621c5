// The lines of a step after admission, and how choices end.
#include "engine/engine_state.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <exception>
#include <new>
#include <span>

#include "base/error.h"
#include "base/read_fault.h"
#include "engine/philox.h"

namespace dbrx {
namespace {

std::string explain(StepResult result) {
  if (result == StepResult::out_of_memory)
    return "the step failed: no memory for it (out_of_memory)";
  const std::string where = first_read_fault();
  return "the step failed: weights could not be read (io_error)" +
         (where.empty() ? "" : ": " + where);
}

// The first large batch asks the system for scratch memory.
StepResult run_model(Model& model, Context& context, const Batch& batch, KvCache& cache,
                     StepOutput& output) {
  try {
    return model.forward(context, batch, cache, output);
  } catch (const std::bad_alloc&) {
    return StepResult::out_of_memory;
  } catch (const Error& error) {
    if (error.code() == Code::corrupt) return StepResult::io_error;
    if (error.code() != Code::resource_exhausted) throw;
    return StepResult::out_of_memory;
  }
}

double seconds_since(EventTimes::Time begin, EventTimes::Time now) {
  return std::chrono::duration<double>(now - begin).count();
}

}  // namespace

// Asks who runs. False: nobody is there.
bool Engine::State::schedule() {
  try {
    plan = &scheduler.schedule();
  } catch (const std::bad_alloc& error) {
    fail(scheduler.last_in_line(), error);
    drop_finished();
    return schedule();
  }
  for (Sequence* sequence : *plan) {
    ActiveRequest& owner = *sequence->owner;
    if (sequence->scheduled == EventTimes::Time()) sequence->scheduled = now;
    if (owner.started) continue;
    owner.started = true;
    owner.cached_tokens = sequence->n_cached;
    counts.prompt_tokens += static_cast<int64_t>(owner.request->prompt.size());
    leave_queue(owner);
  }
  return !plan->empty();
}

// Block lists are lent to the batch, not copied; forward() brings them back.
void Engine::State::fill_batch() {
  batch.tokens.clear();
  batch.positions.clear();
  batch.logit_rows.clear();
  batch.spans.resize(plan->size());
  logit_rows.clear();
  output.want_routing = model.config().n_experts > 0;  // copies a few kilobytes
  for (size_t i = 0; i < plan->size(); ++i) {
    Sequence& sequence = *(*plan)[i];
    BatchSpan& span = batch.spans[i];
    span.first_row = batch.n_rows();
    span.n_rows = sequence.n_rows;
    span.n_past = sequence.n_computed;
    span.blocks.swap(sequence.blocks);
    const auto n_prompt = static_cast<int64_t>(sequence.owner->request->prompt.size());
    const bool scores = sequence.scores_prompt();
    for (int64_t at = span.n_past; at < span.n_past + span.n_rows; ++at) {
      batch.tokens.push_back(sequence.token(at));
      batch.positions.push_back(static_cast<int32_t>(at));
      const int64_t next = at + 1;
      if (!scores || next < sequence.n_scored || next >= n_prompt) continue;
      add_logit_row({&sequence, sequence.token(next)});
    }
    if (sequence.samples()) add_logit_row({&sequence, std::nullopt});
  }
}

// The row that was added last.
void Engine::State::add_logit_row(LogitRow row) {
  batch.logit_rows.push_back(static_cast<int32_t>(batch.n_rows() - 1));
  logit_rows.push_back(row);
}

StepResult Engine::State::forward() {
  const StepResult result = run_model(model, context, batch, cache, output);
  now = options.clock();
  for (size_t i = 0; i < plan->size(); ++i) batch.spans[i].blocks.swap((*plan)[i]->blocks);
  if (result != StepResult::ok) return result;
  counts.weight_bytes_read += step_counters.add(output, batch.n_rows(), !logit_rows.empty());
  for (Sequence* sequence : *plan) scheduler.computed(*sequence);
  return result;
}

// Ends the requests of a step that failed.
void Engine::State::end_failed(StepResult result) {
  failed.clear();  // apart from the plan, which ending a request's choices changes
  for (const Sequence* sequence : *plan) failed.push_back(sequence->owner);
  for (ActiveRequest* entry : failed) end_choices(*entry, FinishReason::error, explain(result));
  drop_finished();
}

// Keeps the experts of all rows for the next events of those who want them.
void Engine::State::collect_routing() {
  for (size_t i = 0; i < plan->size(); ++i) {
    Sequence& sequence = *(*plan)[i];
    if (!sequence.owner->request->routed_experts) continue;
    try {
      collect_rows(batch.spans[i], sequence);
    } catch (const std::bad_alloc& error) {
      fail(sequence, error);
    }
  }
}

// Not again of those rows that were computed before an eviction.
void Engine::State::collect_rows(const BatchSpan& span, Sequence& sequence) const {
  const int64_t k = model.config().top_k;
  const int64_t end = span.n_past + span.n_rows;
  for (int64_t at = std::max(span.n_past, sequence.n_routed); at < end; ++at) {
    const int64_t row = span.first_row + at - span.n_past;
    for (int64_t layer = 0; layer < model.config().n_layers; ++layer) {
      const auto ids = output.expert_ids.begin() + (layer * batch.n_rows() + row) * k;
      sequence.routed_experts.insert(sequence.routed_experts.end(), ids, ids + k);
    }
  }
  sequence.n_routed = std::max(sequence.n_routed, end);
}

// Every worker takes each n-th row, so that each has its own scratch. Who computes what has no
// influence on the result.
void Engine::State::sample() {
  const auto vocab = static_cast<size_t>(model.config().vocab_size);
  CHECK_LE(logit_rows.size() * vocab, output.logits.size());
  begin_choices();
  context.pool.run(scratch.size(), [&](size_t worker) {
    for (size_t i = worker; i < logit_rows.size(); i += scratch.size()) {
      const auto logits = std::span(output.logits).subspan(i * vocab, vocab);
      const auto& [sequence, prompt_token] = logit_rows[i];
      const Request& request = *sequence->owner->request;
      if (!prompt_token && request.grammar) continue;
      bool done = false;
      try {
        done = prompt_token ? Sampler::score(logits, *prompt_token, *request.prompt_logprobs,
                                             scratch[worker].sample, samples[i])
                            : choose_token(sampler, options.eos_token_ids, *sequence, logits,
                                           scratch[worker], samples[i]);
      } catch (const std::exception& error) {  // no memory: this choice ends
        sequence->failure = explain(error);
      }
      if (!done) samples[i].id = -1;
    }
  });
  if (choices.empty()) return;
  const double seconds = seconds_since(counts.step_began_at, now) / 4;
  choices.wait(options.grammar_patience + std::chrono::nanoseconds(std::llround(seconds * 1e9)));
}

// Of the rows with grammars. Those that can't begin have no sample.
void Engine::State::begin_choices() {
  const auto vocab = static_cast<size_t>(model.config().vocab_size);
  for (size_t i = 0; i < logit_rows.size(); ++i) {
    const auto& [sequence, prompt_token] = logit_rows[i];
    if (prompt_token || !sequence->owner->request->grammar) continue;
    samples[i].id = -1;
    try {
      choices.begin(*sequence, std::span(output.logits).subspan(i * vocab, vocab));
    } catch (const std::exception& error) {  // no memory, or no threads
      sequence->failure = explain(error);
    }
  }
}

// Hands on the tokens that are chosen by now, of this step or an earlier one, and charges what they
// took to their clients, in tokens of which the machine could have computed so many. False: none.
bool Engine::State::accept_chosen() {
  bool any = false;
  for (Sequence* sequence = nullptr; (sequence = choices.take()) != nullptr; any = true) {
    if (sequence->state == Sequence::State::finished) continue;
    GrammarChoice& choice = *sequence->grammar;
    if (counts.step_seconds > 0) {
      const double per_second = static_cast<double>(counts.step_rows) / counts.step_seconds;
      FairLine::charge(*sequence,
                       choice.seconds * per_second / static_cast<double>(scratch.size()));
    }
    sequence->failure.swap(choice.failure);
    try {
      accept(*sequence, choice.token);
    } catch (const std::exception& error) {
      fail(*sequence, error);
    }
  }
  return any;
}

void Engine::State::emit() {
  collect_routing();
  for (size_t row = 0; row < logit_rows.size();) row = emit_next(row);
  accept_chosen();
  end_scored();
  report_routing();
  drop_finished();
}

// What the rows of one sequence, from `first` on, are for. Returns the first row of the next one.
size_t Engine::State::emit_next(size_t first) {
  Sequence& sequence = *logit_rows[first].sequence;
  size_t end = first;
  while (end < logit_rows.size() && logit_rows[end].sequence == &sequence) ++end;
  const bool samples_token = !logit_rows[end - 1].prompt_token;
  const size_t n_scores = end - first - (samples_token ? 1 : 0);
  const auto is_over = [&] { return sequence.state == Sequence::State::finished; };
  try {
    if (n_scores > 0 && !is_over()) {
      report_scores(sequence, std::span(samples).subspan(first, n_scores));
    }
    if (samples_token && !is_over() && !sequence.is_choosing()) accept(sequence, samples[end - 1]);
  } catch (const std::exception& error) {
    fail(sequence, error);
  }
  return end;
}

void Engine::State::report_scores(Sequence& sequence, std::span<TokenInfo> scores) {
  for (const TokenInfo& info : scores) {
    if (info.id < 0) {
      scheduler.distrust(sequence);
      return finish(sequence, FinishReason::error,
                    !sequence.failure.empty() ? sequence.failure
                                              : "the model computed a logit that is not a number");
    }
  }
  clear_event();
  event.prompt.resize(scores.size());
  std::swap_ranges(scores.begin(), scores.end(), event.prompt.begin());
  sequence.n_scored += static_cast<int64_t>(scores.size());
  send(sequence, std::nullopt);
}

// Ends the choices of which only the prompt was wanted.
void Engine::State::end_scored() {
  scored.clear();
  for (Sequence* sequence : *plan) {
    if (sequence->owner->request->stop.max_tokens > 0) continue;
    if (sequence->n_computed == sequence->n_tokens()) scored.push_back(sequence);
  }
  for (Sequence* sequence : scored) {
    if (sequence->state == Sequence::State::running) finish(*sequence, FinishReason::length, "");
  }
}

// Of those that had no other event in this step: their prompts are not complete.
void Engine::State::report_routing() {
  for (Sequence* sequence : *plan) {
    if (sequence->routed_experts.empty()) continue;
    clear_event();
    send(*sequence, std::nullopt);
  }
}

void Engine::State::accept(Sequence& sequence, TokenInfo& info) {
  if (info.id < 0) {
    scheduler.distrust(sequence);
    finish(sequence, FinishReason::error,
           !sequence.failure.empty()
               ? sequence.failure
               : "no token could be chosen: the model computed a logit that is not a number, or "
                 "every token is excluded");
    return;
  }
  clear_event();
  if (sequence.generated.empty()) sequence.first_token = now;
  sequence.generated.push_back(info.id);
  ++sequence.owner->completion_tokens;
  ++counts.generated_tokens;
  event.tokens.resize(1);
  std::swap(event.tokens[0], info);
  const std::optional<FinishReason> reason = advance_text(sequence, event.tokens[0].id);
  send(sequence, reason);
}

// Adds the token's text to the event and says whether the choice ends with it: at a stop token, at
// a stop string, where its grammar ends, else at max_tokens.
std::optional<FinishReason> Engine::State::advance_text(Sequence& sequence, int32_t token) {
  const Request& request = *sequence.owner->request;
  const auto n = static_cast<int64_t>(sequence.generated.size());
  const bool stopped = is_stop(request, options.eos_token_ids, token);
  const bool over = sequence.grammar && sequence.grammar->matcher->is_over();
  const bool full = n >= request.stop.max_tokens;
  bool matched = false;
  const bool hidden = stopped && !request.stop.include_stop;  // the token leaves no text
  event.stop_token = hidden;
  if (sequence.text) {
    TextStream& text = *sequence.text;
    matched = !hidden && text.push(token, n, event.text);
    if (!matched && (stopped || over || full)) matched = text.finish(event.text);
    event.stop_reason = text.found_stop();
  }
  if (stopped || over || matched) return FinishReason::stop;
  if (full) return FinishReason::length;
  return std::nullopt;
}

void Engine::State::end_choices(ActiveRequest& entry, FinishReason reason,
                                const std::string& error) {
  for (Sequence& sequence : entry.choices) {
    if (sequence.state != Sequence::State::finished) finish(sequence, reason, error);
  }
}

// Ends a choice for a reason that lies outside its text. What was held back is still given out,
// unless there is no memory for that.
void Engine::State::finish(Sequence& sequence, FinishReason reason, const std::string& error) {
  clear_event();
  try {
    event.error = error;
    if (sequence.text) sequence.text->finish(event.text);
  } catch (const std::bad_alloc& no_memory) {
    event.text.clear();
    if (reason == FinishReason::error) event.error = explain(no_memory);
  }
  send(sequence, reason);
}

// Ends a choice whose text could not be written on.
void Engine::State::fail(Sequence& sequence, const std::exception& why) {
  sequence.text.reset();
  finish(sequence, FinishReason::error, explain(why));
}

void Engine::State::clear_event() {
  event.text.clear();
  event.tokens.clear();
  event.prompt.clear();
  event.error.clear();
  event.stop_reason.clear();
  event.stop_token = false;
}

// Fills in the rest of the event and hands it to the sink. The blocks of a choice that ends are
// free before the sink hears of it, and statistics include a request before its last event: its
// client may ask for them at once.
void Engine::State::send(Sequence& sequence, std::optional<FinishReason> reason) {
  ActiveRequest& owner = *sequence.owner;
  if (reason) {
    if (sequence.is_choosing()) sequence.grammar->unwanted = true;
    scheduler.remove(sequence);
    if (--owner.n_unfinished == 0) {
      if (!owner.started) leave_queue(owner);
      publish();
    }
  }
  event.choice = sequence.choice;
  event.routed_experts.clear();
  event.routed_experts.swap(sequence.routed_experts);
  event.finish = reason;
  event.last = owner.n_unfinished == 0;
  event.usage = {.prompt_tokens = static_cast<int64_t>(owner.request->prompt.size()),
                 .completion_tokens = owner.completion_tokens,
                 .cached_tokens = owner.cached_tokens};
  event.times = {.submitted = owner.submitted,
                 .scheduled = sequence.scheduled,
                 .first_token = sequence.first_token,
                 .now = now};
  event.preemptions = sequence.n_preemptions;
  event.seed = owner.seed;
  try {
    owner.request->sink(std::move(event));
  } catch (...) {
    owner.sink_threw = true;
    if (owner.n_unfinished == 0 && owner.request->lost) owner.request->lost();
  }
}

// What is known of a step before its events are sent.
void Engine::State::count_step(StepResult result) {
  ++counts.steps;
  counts.step_rows += batch.n_rows();
  const auto bucket =
      static_cast<size_t>(std::bit_width(static_cast<uint64_t>(batch.n_rows()) - 1));
  ++counts.step_row_counts[std::min(bucket, kStepRowBuckets - 1)];
  counts.failed_steps += result == StepResult::ok ? 0 : 1;
  counted_seconds = seconds_since(counts.step_began_at, options.clock());
  counts.step_seconds += counted_seconds;
}

// Adds the time that sinks took to what is counted already.
void Engine::State::end_step(StepResult result) {
  counts.last_step_at = options.clock();
  const double seconds = seconds_since(counts.step_began_at, counts.last_step_at);
  counts.step_seconds += seconds - counted_seconds;
  if (result == StepResult::ok) scheduler.took(seconds);
  counts.step_began_at = {};
}

void Engine::State::publish() {
  counts.running = scheduler.n_running();
  counts.free_blocks = blocks.n_free();
  counts.total_blocks = blocks.n_blocks();
  counts.cached_blocks = blocks.n_cached();
  counts.prefix_queries = scheduler.n_prefix_queries();
  counts.prefix_hits = scheduler.n_prefix_hits();
  counts.preemptions = scheduler.n_preemptions();
  const std::lock_guard lock(mutex);
  counts.waiting = queued.n_taken() + scheduler.n_waiting() - n_unstarted_choices;
  published = counts;
}

}  // namespace dbrx
