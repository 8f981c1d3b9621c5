// What a step costs beside the model: admit, schedule, fill the batch, emit, publish, for sequences
// that generate, with DBRX's routing to count and texts to decode. The model's time is left out;
// choosing from 64 tokens, greedily, is not, but next to nothing.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>

#include "engine/engine.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;

class NoModel : public Model {
 public:
  NoModel() {
    config_.family = "none";
    config_.vocab_size = 64;
    config_.max_seq_len = 1 << 16;
    config_.n_heads = config_.n_kv_heads = 1;
    config_.d_model = config_.head_dim = 2;
    config_.n_layers = 40;
    config_.n_experts = 16;
    config_.top_k = 4;
  }

  const ModelConfig& config() const override { return config_; }
  Format weight_format() const override { return Format::f32; }
  WeightBytes weight_bytes() const override { return {.dense = 1, .head = 1, .expert = 1}; }
  Clock::duration spent() const { return spent_; }

  StepResult forward(Context&, const Batch& batch, KvCache&, StepOutput& output) override {
    const Clock::time_point begin = Clock::now();
    const auto vocab = static_cast<size_t>(config_.vocab_size);
    output.logits.assign(batch.logit_rows.size() * vocab, 0.0F);
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) output.logits[i * vocab + 'a' % 64] = 1;
    output.expert_ids.resize(static_cast<size_t>(config_.n_layers * batch.n_rows() * 4));
    for (size_t i = 0; i < output.expert_ids.size(); ++i) {
      output.expert_ids[i] = static_cast<int32_t>(4 * (i % 4) + i / 4 % 4);
    }
    spent_ += Clock::now() - begin;
    return StepResult::ok;
  }

 private:
  ModelConfig config_;
  Clock::duration spent_{};
};

// Argument: sequences that generate.
void bm_step(benchmark::State& state) {
  constexpr int64_t kTokens = 4000;
  const int64_t n_sequences = state.range(0);
  Context context(choose_isa({}), 1);
  NoModel model;
  const Tokenizer tokenizer = Tokenizer::load("models/dbrx-nano");
  Engine engine(context, model, &tokenizer,
                {.max_sequences = n_sequences,
                 .max_context = 2 * kTokens,
                 .kv_blocks = (n_sequences + 64) * (kTokens / 64 + 2),
                 .prefill_slowdown = 1.9});
  std::function<void(uint64_t)> add = [&](uint64_t client) {
    auto request = std::make_shared<Request>();
    request->prompt.assign(100, 1);
    request->client = client;
    request->sampling.temperature = 0;
    request->stop.max_tokens = kTokens;
    request->stop.stop = {"no such text"};
    request->stop.ignore_eos = true;
    request->sink = [&, client](const Event& event) {
      benchmark::DoNotOptimize(event.text.data());
      if (event.finish == FinishReason::length) add(client);
    };
    engine.submit(std::move(request));
  };
  for (int64_t i = 0; i < n_sequences; ++i) add(static_cast<uint64_t>(i % 4));
  for (int i = 0; i < 100; ++i) engine.step();
  while (state.KeepRunning()) {
    const Clock::time_point begin = Clock::now();
    const Clock::duration before = model.spent();
    engine.step();
    const Clock::duration took = Clock::now() - begin - (model.spent() - before);
    state.SetIterationTime(std::chrono::duration<double>(took).count());
  }
  engine.stop(/*abort=*/true);
  while (engine.step()) {
  }
}

// The only step of a request whose prompt is in the cache, but for the model's time.
void bm_hit(benchmark::State& state) {
  Context context(choose_isa({}), 1);
  NoModel model;
  Engine engine(context, model, nullptr, {.max_batched_tokens = 1 << 16, .kv_blocks = 2048});
  const auto submit = [&] {
    auto request = std::make_shared<Request>();
    request->prompt.assign(static_cast<size_t>(state.range(0)), 1);
    request->stop.max_tokens = 1;
    request->sink = [](const Event& event) { benchmark::DoNotOptimize(event.usage); };
    engine.submit(std::move(request));
  };
  submit();
  engine.step();
  while (state.KeepRunning()) {
    submit();
    const Clock::time_point begin = Clock::now();
    const Clock::duration before = model.spent();
    engine.step();
    const Clock::duration took = Clock::now() - begin - (model.spent() - before);
    state.SetIterationTime(std::chrono::duration<double>(took).count());
  }
}

BENCHMARK(bm_hit)->ArgName("prompt")->Arg(1000)->Arg(4000)->Arg(32000)->UseManualTime();

BENCHMARK(bm_step)->ArgName("sequences")->Arg(1)->Arg(8)->Arg(32)->Arg(64)->UseManualTime();

}  // namespace
}  // namespace dbrx
