// The experts that tokens were sent to, against the reference implementation's, and against the
// model called without an engine.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/test_client.h"
#include "engine/test_rig.h"
#include "tensor/safetensors.h"

namespace dbrx {
namespace {

std::vector<int32_t> golden(const std::string& name) {
  static const std::vector<Tensor> tensors = open_safetensors("testdata/goldens/t38.safetensors");
  for (const Tensor& tensor : tensors) {
    if (tensor.name != name) continue;
    std::vector<int32_t> values(tensor.bytes.size() / sizeof(int32_t));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  throw Error(Code::not_found, "no golden " + name);
}

// [layers][tokens, k] -> [tokens, layers, k]
std::vector<uint16_t> by_token(const std::vector<std::vector<int32_t>>& layers, size_t k) {
  std::vector<uint16_t> ids;
  for (size_t at = 0; at < layers.at(0).size(); at += k) {
    for (const std::vector<int32_t>& layer : layers) {
      for (size_t j = 0; j < k; ++j) ids.push_back(static_cast<uint16_t>(layer.at(at + j)));
    }
  }
  return ids;
}

Call routed_call(std::vector<int32_t> prompt, int64_t max_tokens) {
  Call call = make_call(std::move(prompt), max_tokens);
  call->routed_experts = true;
  call->stop.ignore_eos = true;
  return call;
}

TEST(EngineRouting, of_a_prompt_is_that_of_the_reference_implementation) {
  const auto model = load_model("testdata/tiny", {});
  flush_denormals();
  for (const int64_t max_batched_tokens : {512, 7}) {
    Context context(choose_isa({}), 2);
    Engine engine(context, *model, nullptr,
                  {.max_batched_tokens = max_batched_tokens, .kv_format = Format::f32});
    const Call call = routed_call(golden("tokens"), 1);
    submit(engine, call);
    finish_all(engine);
    std::vector<std::vector<int32_t>> layers;
    for (int64_t i = 0; i < model->config().n_layers; ++i) {
      layers.push_back(golden("layers." + std::to_string(i) + ".expert_ids"));
    }
    const auto k = static_cast<size_t>(model->config().top_k);
    EXPECT_EQ(call.answer->only().routed_experts, by_token(layers, k));
  }
}

TEST(EngineRouting, of_an_answer_is_what_the_model_says_of_the_whole_text) {
  const auto model = load_model("testdata/tiny", {});
  const ModelConfig& config = model->config();
  flush_denormals();
  Context context(choose_isa({}), 2);
  Engine engine(context, *model, nullptr, {.max_context = 256, .kv_format = Format::f32});
  const Call call = routed_call({3, 1, 4, 1, 5}, 30);
  const Call silent = copy(call);
  silent->routed_experts = false;
  submit(engine, call);
  submit(engine, silent);
  finish_all(engine);
  EXPECT_EQ(call.answer->only().ids(), silent.answer->only().ids());

  std::vector<int32_t> tokens = call->prompt;
  for (const int32_t id : call.answer->only().ids()) tokens.push_back(id);
  tokens.pop_back();  // the last one was never computed
  Batch batch;
  batch.tokens = tokens;
  batch.positions.resize(tokens.size());
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  batch.spans = {{.first_row = 0, .n_rows = batch.n_rows(), .n_past = 0, .blocks = {0}}};
  KvCache cache(config, Format::f32, 1);
  StepOutput output;
  output.want_routing = true;
  ASSERT_EQ(model->forward(context, batch, cache, output), StepResult::ok);
  std::vector<std::vector<int32_t>> layers;
  const int64_t n_layer = batch.n_rows() * config.top_k;
  for (auto at = output.expert_ids.begin(); at != output.expert_ids.end(); at += n_layer) {
    layers.emplace_back(at, at + n_layer);
  }
  EXPECT_EQ(call.answer->only().routed_experts,
            by_token(layers, static_cast<size_t>(config.top_k)));
}

// Numbers of a token.
size_t width_of(const Rig& rig) { return static_cast<size_t>(rig.model.config().n_layers * 2); }

TEST(EngineRouting, comes_with_each_chunk_of_the_prompt_and_each_token) {
  Rig rig({.max_batched_tokens = 20}, /*n_threads=*/2);
  const Call call = routed_call(std::vector<int32_t>(50, 7), 3);
  std::vector<size_t> n_tokens;
  call->sink = [&](Event&& event) {
    n_tokens.push_back(event.routed_experts.size() / width_of(rig));
    receive(*call.answer, *call, event);
  };
  submit(rig.engine, call);
  finish_all(rig.engine);
  EXPECT_EQ(n_tokens, (std::vector<size_t>{20, 20, 10, 1, 1}));
}

TEST(EngineRouting, of_a_prompt_without_an_answer_is_complete) {
  Rig rig({.max_batched_tokens = 20}, /*n_threads=*/2);
  const Call call = routed_call(std::vector<int32_t>(50, 7), 0);
  call->prompt_logprobs = 0;
  submit(rig.engine, call);
  finish_all(rig.engine);
  EXPECT_EQ(call.answer->only().routed_experts.size(), 50 * width_of(rig));
}

TEST(EngineRouting, is_the_same_after_evictions_and_in_any_company) {
  const auto run = [](const EngineOptions& options, int company, int64_t* n_preemptions) {
    Rig rig(options, /*n_threads=*/2);
    std::vector<Call> others;
    for (int i = 0; i < company; ++i) {
      others.push_back(make_call(std::vector<int32_t>(static_cast<size_t>(50 + i), i), 100));
      submit(rig.engine, others.back());
    }
    const Call call = routed_call({1, 2, 3, 4, 5, 6, 7}, 120);
    call->n_choices = 3;
    submit(rig.engine, call);
    finish_all(rig.engine);
    *n_preemptions = rig.engine.stats().preemptions;
    return *call.answer;
  };
  int64_t n_alone = 0, n_crowded = 0;
  const Answer alone = run({}, 0, &n_alone);
  EXPECT_EQ(alone.choices[1].routed_experts.size(), (7U + 120 - 1) * 2 * 2);
  expect_same(alone, run({.max_context = 256, .kv_blocks = 8}, 6, &n_crowded));
  EXPECT_EQ(n_alone, 0);
  EXPECT_GT(n_crowded, 0);
}

}  // namespace
}  // namespace dbrx
