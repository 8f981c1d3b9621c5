// Hundreds of random requests against random engines: whatever happens around a request, its answer
// is the one that it gets alone, and in the end every block is free.
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

constexpr int64_t kMaxContext = 400;

class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  int64_t between(int64_t low, int64_t high) {  // both included
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool one_in(int64_t n) { return between(1, n) == 1; }
  float pick(std::initializer_list<float> values) {
    return values.begin()[between(0, static_cast<int64_t>(values.size()) - 1)];
  }

 private:
  std::mt19937 random_;
};

Call random_call(Dice& dice) {
  const int64_t n_prompt = dice.one_in(4) ? dice.between(1, 300) : dice.between(1, 40);
  // Many begin like others, up to some place.
  const auto text = static_cast<int32_t>(dice.between(1, 3));
  const int64_t n_same = dice.one_in(3) ? 0 : dice.between(0, n_prompt);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < n_prompt; ++i) {
    const int64_t same = (text * 131 + i * 29) % kTestVocab;
    prompt.push_back(static_cast<int32_t>(i < n_same ? same : dice.between(0, kTestVocab - 1)));
  }
  const int64_t most = std::min<int64_t>(kMaxContext - n_prompt, 300);
  Call call = make_call(prompt, dice.between(1, most));
  call->seed = static_cast<uint64_t>(dice.between(0, 1 << 30));
  call->n_choices = dice.one_in(5) ? static_cast<int32_t>(dice.between(2, 4)) : 1;
  call->priority = static_cast<int32_t>(dice.between(-1, 1));
  call->client = static_cast<uint64_t>(dice.between(0, 3));
  call->client_weight = dice.pick({1, 1, 5});
  if (dice.one_in(8)) call->prompt_logprobs = 1;
  call->routed_experts = dice.one_in(8);
  call->skip_special_tokens = !dice.one_in(4);
  if (dice.one_in(4)) call->top_logprobs = static_cast<int32_t>(dice.between(0, 5));
  call->sampling = {.temperature = dice.pick({0, 0.5F, 1, 1, 2}),
                    .top_p = dice.pick({1, 1, 0.9F, 0.3F}),
                    .top_k = static_cast<int32_t>(dice.pick({0, 0, 5, 50})),
                    .min_p = dice.pick({0, 0, 0.1F}),
                    .presence_penalty = dice.pick({0, 0, 1}),
                    .frequency_penalty = dice.pick({0, 0, 0.5F}),
                    .repetition_penalty = dice.pick({1, 1, 1.2F})};
  if (dice.one_in(5)) call->sampling.logit_bias = {{'a', 5}, {0xC3, 5}, {kMarkId, 3}};
  StopRules& stop = call->stop;
  if (dice.one_in(4)) stop.stop = {"a", "é"};
  if (dice.one_in(6)) stop.stop_token_ids = {kAbId, 'q'};
  stop.ignore_eos = !dice.one_in(3);
  if (dice.one_in(4)) stop.min_tokens = dice.between(0, stop.max_tokens);
  return call;
}

EngineOptions random_options(Dice& dice) {
  return {.max_sequences = dice.between(1, 12),
          .max_batched_tokens = dice.one_in(2) ? dice.between(1, 40) : 512,
          .max_context = kMaxContext,
          .kv_blocks = dice.one_in(4) ? 100 : dice.between(7, 12),
          .prefix_cache = !dice.one_in(4),
          .prefill_slowdown = dice.one_in(2) ? 0 : 1.9,
          .eos_token_ids = {kEndId, 'z'}};
}

void expect_prefix(const Answer& part, const Answer& whole) {
  for (size_t i = 0; i < part.choices.size(); ++i) {
    const ChoiceAnswer& a = part.choices[i];
    const ChoiceAnswer& b = whole.choices[i];
    if (a.finish != FinishReason::cancelled) {
      EXPECT_EQ(a.ids(), b.ids());
      EXPECT_EQ(a.text, b.text);
      continue;
    }
    const std::vector<int32_t> ids = a.ids();
    const std::vector<int32_t> all = b.ids();
    ASSERT_LE(ids.size(), all.size());
    EXPECT_TRUE(std::equal(ids.begin(), ids.end(), all.begin()));
  }
}

// One engine, many requests at random times, some cancelled. Returns what it counted.
EngineStats play(uint32_t seed, int n_requests) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Dice dice(seed);
  EngineOptions options = random_options(dice);
  Context context(Isa::scalar, static_cast<int>(dice.between(1, 2)));
  FakeModel model(kTestVocab);
  EventTimes::Time clock;
  options.clock = [&] { return clock; };
  model.before_step = [&](const Batch& batch) {
    clock += std::chrono::microseconds(dice.between(1000, 3000) + 100 * batch.n_rows());
    return StepResult::ok;
  };
  Engine engine(context, model, &test_tokenizer(), options);
  std::vector<Call> calls;
  while (static_cast<int>(calls.size()) < n_requests) {
    for (int64_t n = dice.one_in(4) ? dice.between(1, 6) : 0; n > 0; --n) {
      calls.push_back(random_call(dice));
      submit(engine, calls.back());
    }
    for (int64_t n = dice.between(0, 12); n > 0; --n) engine.step();
    if (!calls.empty() && dice.one_in(8)) {
      calls[static_cast<size_t>(dice.between(0, static_cast<int64_t>(calls.size()) - 1))]
          ->cancelled = true;
    }
  }
  finish_all(engine);

  FakeModel quiet_model(kTestVocab);
  Engine quiet(context, quiet_model, &test_tokenizer(),
               {.max_batched_tokens = 512,
                .max_context = kMaxContext,
                .kv_blocks = 100,
                .prefix_cache = false,
                .eos_token_ids = options.eos_token_ids});
  for (const Call& call : calls) {
    EXPECT_TRUE(call.answer->ended);
    const Call alone = copy(call);
    submit(quiet, alone);
    finish_all(quiet);
    if (call->cancelled) {
      expect_prefix(*call.answer, *alone.answer);
    } else {
      expect_same(*call.answer, *alone.answer);
    }
  }
  return engine.stats();
}

TEST(EngineRandom, every_answer_is_the_one_that_the_request_gets_alone) {
  int64_t n_preemptions = 0;
  int64_t n_hits = 0;
  for (uint32_t seed = 1; seed <= 16; ++seed) {
    const EngineStats stats = play(seed, 30);
    n_preemptions += stats.preemptions;
    n_hits += stats.prefix_hits;
    if (HasFailure()) return;
  }
  EXPECT_GT(n_preemptions, 20);
  EXPECT_GT(n_hits, 64 * 20);
}

}  // namespace
}  // namespace dbrx
