#include "engine/engine.h"

#include <algorithm>
#include <random>
#include <string>

#include "base/error.h"
#include "engine/engine_state.h"
#include "engine/validate.h"

namespace dbrx {
namespace {

// So often the engine looks who came or went while it only waits for tokens to be chosen.
constexpr std::chrono::milliseconds kLookAround{1};

SchedulerLimits scheduler_limits(const EngineOptions& options) {
  return {.max_sequences = std::min(options.max_sequences, options.max_batched_tokens),
          .max_rows = options.max_batched_tokens,
          .max_scoring_rows = kMaxLogitRows - options.max_sequences,
          .prefix_cache = options.prefix_cache,
          .prefill_slowdown = options.prefill_slowdown};
}

// Rows of the head that belong to no token: holes and padding, whose logits were never trained.
std::vector<int32_t> ids_without_token(const Tokenizer* tokenizer, int64_t vocab_size) {
  std::vector<int32_t> ids;
  if (tokenizer == nullptr) return ids;
  for (int32_t id = 0; id < vocab_size; ++id) {
    const bool exists = id < tokenizer->n_ids() &&
                        (tokenizer->is_special(id) || !tokenizer->token_bytes(id).empty());
    if (!exists) ids.push_back(id);
  }
  return ids;
}

uint64_t random_seed() {
  std::random_device device;
  const uint64_t high = device();
  return high << 32 | device();
}

}  // namespace

EngineOptions resolve_options(EngineOptions options, const ModelConfig& config) {
  const auto require = [](bool valid, const std::string& message) {
    if (!valid) throw Error(Code::invalid_argument, message);
  };
  if (options.max_context == 0) options.max_context = config.max_seq_len;
  if (options.kv_blocks == 0) options.kv_blocks = blocks_for(options.max_context);
  require(options.max_context >= 2 && options.max_context <= config.max_seq_len,
          "max_context (--max-model-len) must be from 2 to the model's own limit, " +
              std::to_string(config.max_seq_len));
  require(options.max_batched_tokens >= 1, "max_batched_tokens must be at least 1");
  require(options.max_sequences >= 1 && options.max_sequences <= kMaxSequences,
          "max_sequences (--max-num-seqs) must be from 1 to " + std::to_string(kMaxSequences));
  require(options.prefill_slowdown == 0 || options.prefill_slowdown > 1,
          "prefill_slowdown must be above 1, or 0 for none");
  require(options.max_queued_requests >= 1, "max_queued_requests must be at least 1");
  require(options.kv_blocks >= blocks_for(options.max_context),
          "kv_blocks (--kv-cache-tokens): the cache must hold at least one whole context of " +
              std::to_string(options.max_context) +
              " tokens; lower max_context (--max-model-len) or give the cache more memory");
  for (const int32_t id : options.eos_token_ids) {
    require(id >= 0 && id < config.vocab_size, "eos_token_ids: an id is outside the vocabulary");
  }
  return options;
}

Engine::State::State(Context& context_in, Model& model_in, const Tokenizer* tokenizer_in,
                     EngineOptions options_in)
    : context(context_in),
      model(model_in),
      tokenizer(tokenizer_in),
      options(resolve_options(std::move(options_in), model.config())),
      cache(model.config(), options.kv_format, options.kv_blocks),
      blocks(options.kv_blocks),
      scheduler(scheduler_limits(options), blocks),
      sampler(model.config().vocab_size, ids_without_token(tokenizer, model.config().vocab_size)),
      choices(sampler, options.eos_token_ids, model.config().vocab_size,
              static_cast<size_t>(context.pool.n_threads())),
      step_counters(model),
      queued(options.max_queued_requests) {
  const auto n_rows = static_cast<size_t>(options.max_batched_tokens);
  const auto n_sequences = static_cast<size_t>(options.max_sequences);
  batch.tokens.reserve(n_rows);
  batch.positions.reserve(n_rows);
  batch.spans.reserve(n_sequences);
  batch.logit_rows.reserve(kMaxLogitRows);
  logit_rows.reserve(kMaxLogitRows);
  samples.resize(kMaxLogitRows);
  scored.reserve(n_sequences);
  const auto n_workers = static_cast<size_t>(context.pool.n_threads());
  scratch.reserve(n_workers);
  for (size_t i = 0; i < n_workers; ++i) scratch.emplace_back(model.config().vocab_size);
  publish();
}

Engine::Engine(Context& context, Model& model, const Tokenizer* tokenizer, EngineOptions options)
    : state_(std::make_unique<State>(context, model, tokenizer, std::move(options))) {}

Engine::~Engine() = default;

const ModelConfig& Engine::model_config() const { return state_->model.config(); }

int64_t Engine::max_context() const { return state_->options.max_context; }

int64_t Engine::max_queued_requests(uint64_t client) const { return state_->queued.most(client); }

std::span<const int32_t> Engine::eos_token_ids() const { return state_->options.eos_token_ids; }

SubmitResult Engine::submit(std::shared_ptr<Request> request) { return submit_all({&request, 1}); }

SubmitResult Engine::submit_all(std::span<const std::shared_ptr<Request>> requests,
                                bool beyond_bound) {
  State& s = *state_;
  std::vector<Arrival> arrivals;
  for (const std::shared_ptr<Request>& request : requests) {
    CHECK(request != nullptr);
    CHECK_EQ(request->client, requests.front()->client);
    validate_request(*request, {.vocab_size = s.model.config().vocab_size,
                                .max_context = s.options.max_context,
                                .has_text = s.tokenizer != nullptr,
                                .has_experts = s.model.config().n_experts > 0});
    arrivals.push_back({.request = request,
                        .seed = request->seed ? *request->seed : random_seed(),
                        .submitted = s.options.clock()});
  }
  const auto n = static_cast<int64_t>(arrivals.size());
  {
    const std::lock_guard lock(s.mutex);
    if (s.stopping) return SubmitResult::stopping;
    if (n == 0) return SubmitResult::ok;
    const uint64_t client = requests.front()->client;
    if (!beyond_bound && !s.queued.fits(client, n)) return SubmitResult::queue_full;
    s.queued.take(client, n);
    try {
      s.inbox.insert(s.inbox.end(), arrivals.begin(), arrivals.end());
    } catch (...) {
      for (int64_t i = 0; i < n; ++i) s.queued.give_back(client);
      throw;
    }
    s.published.waiting += n;
  }
  s.wake.notify_one();
  return SubmitResult::ok;
}

bool Engine::step() {
  State& s = *state_;
  s.now = s.options.clock();
  const bool admitted = s.admit();
  const bool chosen = s.accept_chosen();
  if (chosen) s.drop_finished();
  const bool scheduled = s.schedule();
  if (scheduled) {
    s.counts.step_began_at = s.now;
    s.publish();  // who watches should see what a step is about when it takes long, or hangs
    s.fill_batch();
    const StepResult result = s.forward();
    if (result == StepResult::ok) s.sample();
    s.count_step(result);  // before anybody hears of its tokens
    result == StepResult::ok ? s.emit() : s.end_failed(result);
    s.end_step(result);
  } else if (!s.choices.empty()) {
    s.choices.wait_for_any(kLookAround);
  }
  s.publish();
  return admitted || chosen || scheduled || !s.choices.empty();
}

void Engine::run() {
  state_->context.pool.enter();
  while (state_->wait_for_work()) step();
}

void Engine::stop(bool abort) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->aborting |= abort;
  }
  state_->wake.notify_one();
}

std::vector<int64_t> Engine::expert_tokens() const { return state_->step_counters.expert_tokens(); }

EngineStats Engine::stats() const {
  const std::lock_guard lock(state_->mutex);
  return state_->published;
}

}  // namespace dbrx
