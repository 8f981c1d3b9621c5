// Continuous batching: who runs in the next step, where its cache lives, which token comes out. All
// state is changed by one thread, the one that calls step(); submit() and stats() may be called
// from any. docs/engine.md states the laws.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/context.h"
#include "engine/request.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace dbrx {

// Each may have a row with logits in a step; the other rows with logits are for prompts whose
// logprobs are wanted.
constexpr int64_t kMaxSequences = kMaxLogitRows * 3 / 4;

struct EngineOptions {
  int64_t max_sequences = 64;          // that run in one step
  int64_t max_batched_tokens = 512;    // rows of one step: the prefill chunk
  int64_t max_queued_requests = 1024;  // of all clients
  int64_t max_context = 0;             // tokens of one sequence; 0: the model's
  int64_t kv_blocks = 0;               // of 64 tokens; at least one whole context (0: just that)
  Format kv_format = Format::bf16;
  bool prefix_cache = true;  // texts that begin with the same blocks share them
  // Beside sequences that generate, prompts are computed in chunks that let a step take at most
  // this many times as long as one without prompts; 0: prompts may always take all rows.
  double prefill_slowdown = 0;
  // So long a step waits for tokens that follow a grammar, besides a quarter of the time that its
  // model took. What comes later, comes in a later step.
  std::chrono::nanoseconds grammar_patience = std::chrono::milliseconds(2);
  std::vector<int32_t> eos_token_ids = {};
  std::function<std::chrono::steady_clock::time_point()> clock = std::chrono::steady_clock::now;
};

// With every 0 resolved. Throws Error(invalid_argument) when the options make no sense for such a
// model: who is about to load one may ask before.
EngineOptions resolve_options(EngineOptions options, const ModelConfig& config);

enum class SubmitResult { ok, queue_full, stopping };

constexpr size_t kStepRowBuckets = 16;

// What is not said to be a level is a sum since the start.
struct EngineStats {
  using Time = std::chrono::steady_clock::time_point;

  // Levels.
  int64_t running = 0;  // sequences
  // Requests that have not run yet, and sequences of others that wait: preempted, or further
  // choices.
  int64_t waiting = 0;
  int64_t free_blocks = 0;
  int64_t total_blocks = 0;
  int64_t cached_blocks = 0;  // that are free, but can still be found by their content
  // The heartbeat. A step that began long ago hangs.
  Time step_began_at;  // of the step that runs; 0: none does
  Time last_step_at;   // end of the last one; 0: there was none

  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  int64_t prefix_queries = 0;  // tokens of prompts that were looked for in the prefix cache
  int64_t prefix_hits = 0;     // of these, found
  int64_t preemptions = 0;
  int64_t steps = 0;
  int64_t failed_steps = 0;  // of these
  double step_seconds = 0;   // that steps took, sinks included: the time that the engine was busy
  int64_t step_rows = 0;
  // Steps of at most 2^i rows, and more than half of that; the last one has all the others.
  std::array<int64_t, kStepRowBuckets> step_row_counts = {};
  int64_t weight_bytes_read = 0;  // once a step: each expert that was hit, and all other matrices
};

class Engine {
 public:
  // tokenizer may be null when only token ids are wanted (events then have no text; stop strings
  // are refused). model, tokenizer and context outlive the engine. Throws Error when options make
  // no sense.
  Engine(Context& context, Model& model, const Tokenizer* tokenizer, EngineOptions options);
  // Requests that are still in it get no last event: stop() and run() to the end first.
  ~Engine();

  const ModelConfig& model_config() const;
  int64_t max_context() const;
  // Requests of a client that may wait at best: see queue_places.h.
  int64_t max_queued_requests(uint64_t client) const;
  std::span<const int32_t> eos_token_ids() const;  // of the options

  // Queues a request. Throws Error(invalid_argument) when it can never run (empty prompt, id
  // outside the vocabulary, longer than the context or than the cache, bad parameters).
  SubmitResult submit(std::shared_ptr<Request> request);
  // Queues all of them, which must be one client's, or none when the answer is not ok. More than
  // max_queued_requests(client) never fit, unless beyond_bound: for what others of the caller's
  // requests, already taken, wait for.
  SubmitResult submit_all(std::span<const std::shared_ptr<Request>> requests,
                          bool beyond_bound = false);

  // One step: admit, schedule, fill the batch, forward, sample, emit. False when there was nothing
  // to do.
  bool step();

  // Steps until stop() was called; sleeps when idle. The engine thread's main function.
  void run();

  // No new requests are taken. Those that were taken, queued ones too, finish, unless `abort`: then
  // they end as cancelled. run() returns when nothing is left. May be called from any thread, and
  // again with `abort` when waiting takes too long.
  void stop(bool abort);

  // [layers, n_experts] tokens that the router sent to each expert, since the start. Empty when the
  // model has none. May be called from any thread.
  std::vector<int64_t> expert_tokens() const;

  // As of the last submit, the begin of the step that runs, or the end of the one before.
  EngineStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dbrx
