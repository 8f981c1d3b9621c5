// The inside of Engine: everything that its thread changes, and the small part that others touch.
#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/block_pool.h"
#include "engine/engine.h"
#include "engine/grammar_choices.h"
#include "engine/queue_places.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "engine/step_counters.h"
#include "engine/token_choice.h"

namespace dbrx {

// A request that was submitted, with its seed.
struct Arrival {
  std::shared_ptr<Request> request;
  uint64_t seed = 0;
  EventTimes::Time submitted;
};

// What a row's logits are for: the next token of the prompt, whose probability is wanted, or the
// next one of the answer.
struct LogitRow {
  Sequence* sequence = nullptr;
  std::optional<int32_t> prompt_token;
};

// What a client is told when its request fails.
std::string explain(const std::exception& why);

struct Engine::State {
  State(Context& context, Model& model, const Tokenizer* tokenizer, EngineOptions options);

  // These are the lines of a step.
  bool admit();
  void put_in_line(const Arrival& arrival);
  void refuse(const Arrival& arrival, const std::exception& why);
  bool schedule();
  void fill_batch();
  void add_logit_row(LogitRow row);
  StepResult forward();
  void sample();
  void count_step(StepResult result);
  void emit();
  void end_failed(StepResult result);
  void end_step(StepResult result);
  void collect_routing();
  void collect_rows(const BatchSpan& span, Sequence& sequence) const;
  size_t emit_next(size_t first);
  void report_scores(Sequence& sequence, std::span<TokenInfo> scores);
  void end_scored();
  void report_routing();
  // Publishes the statistics: before the model runs, before a request's last event is sent,
  // and after the step, also when there was nothing to do.
  void publish();

  bool end_cancelled(bool all);
  bool end_cancelled_choices(ActiveRequest& entry);
  void leave_queue(const ActiveRequest& owner);
  void begin_choices();
  bool accept_chosen();
  void accept(Sequence& sequence, TokenInfo& info);
  std::optional<FinishReason> advance_text(Sequence& sequence, int32_t token);
  void end_choices(ActiveRequest& entry, FinishReason reason, const std::string& error);
  void finish(Sequence& sequence, FinishReason reason, const std::string& error);
  void fail(Sequence& sequence, const std::exception& why);
  void clear_event();
  void send(Sequence& sequence, std::optional<FinishReason> reason);
  void drop_finished();
  bool wait_for_work();

  // Constant.
  Context& context;
  Model& model;
  const Tokenizer* tokenizer;  // may be null
  EngineOptions options;       // with every 0 resolved

  // Changed by the engine thread alone.
  KvCache cache;
  BlockPool blocks;
  Scheduler scheduler;
  std::vector<std::unique_ptr<ActiveRequest>> active;  // by arrival
  int64_t n_unstarted_choices = 0;                     // of active requests that have not run yet
  int64_t n_arrived = 0;
  const std::vector<Sequence*>* plan = nullptr;  // of the step
  std::vector<LogitRow> logit_rows;              // as batch.logit_rows
  std::vector<TokenInfo> samples;                // [logit_rows]; id -1: the logits are of no use
  std::vector<Sequence*> scored;                 // that end with their prompts
  std::vector<ActiveRequest*> failed;            // whose step failed
  Batch batch;
  StepOutput output;
  Sampler sampler;
  std::vector<ChoiceScratch> scratch;  // per worker
  GrammarChoices choices;              // ends before the sequences that it works on
  Event event;                         // the one being sent; keeps its memory
  EngineStats counts;
  StepCounters step_counters;
  EventTimes::Time now;           // when the step began, or its model was done
  double counted_seconds = 0;     // of the step that runs, that are in counts already
  std::vector<Arrival> arrivals;  // being admitted

  // Shared with the threads that submit, stop and watch.
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::vector<Arrival> inbox;
  QueuePlaces queued;  // of requests submitted that have not run yet
  bool stopping = false;
  bool aborting = false;
  EngineStats published;
};

}  // namespace dbrx
