// Logprobs of prompts, against those that the same model gives when it generates the same tokens.
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

std::vector<int32_t> random_prompt(int n) {
  std::vector<int32_t> ids;
  uint32_t x = 1;
  for (int i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>((x = x * 69069 + 1) >> 25));
  return ids;
}

struct Setting {
  int n_threads = 1;
  EngineOptions options = {};
  int company = 0;
};

ChoiceAnswer score(const std::vector<int32_t>& prompt, int64_t max_tokens,
                   const Setting& setting = {}) {
  Context context(Isa::scalar, setting.n_threads);
  FakeModel model(kTestVocab, 2048);
  Engine engine(context, model, &test_tokenizer(), setting.options);
  std::vector<Call> others;
  for (int i = 0; i < setting.company; ++i) {
    others.push_back(make_call(random_prompt(100 + i), 60));
    if (i % 2 == 0) others.back()->prompt_logprobs = 1;
    submit(engine, others.back());
  }
  const Call call = make_call(prompt, max_tokens);
  call->prompt_logprobs = 3;
  call->sampling.temperature = 0;
  submit(engine, call);
  finish_all(engine);
  return call.answer->only();
}

// The independent way: the prompt grows token by token, and each next token's probability is that
// of a generated one.
TEST(EnginePrompt, logprobs_are_those_of_generating_the_prompt) {
  const std::vector<int32_t> prompt = random_prompt(40);
  const ChoiceAnswer scored = score(prompt, 1);
  ASSERT_EQ(scored.prompt.size(), prompt.size() - 1);
  for (size_t n = 1; n < prompt.size(); ++n) {
    Context context(Isa::scalar, 1);
    FakeModel model(kTestVocab, 2048);
    Engine engine(context, model, &test_tokenizer(), {});
    const Call call = make_call({prompt.begin(), prompt.begin() + static_cast<int64_t>(n)}, 1);
    call->top_logprobs = static_cast<int32_t>(kTestVocab);
    submit(engine, call);
    finish_all(engine);
    const TokenInfo& generated = call.answer->only().tokens.at(0);
    const TokenInfo& info = scored.prompt[n - 1];
    EXPECT_EQ(info.id, prompt[n]);
    ASSERT_EQ(info.top.size(), 3U);
    int32_t place = 0;
    while (generated.top.at(static_cast<size_t>(place)).id != info.id) ++place;
    EXPECT_EQ(info.logprob, generated.top[static_cast<size_t>(place)].logprob);
    EXPECT_EQ(info.rank, place + 1);
    for (size_t k = 0; k < 3; ++k) EXPECT_EQ(info.top[k].id, generated.top[k].id);
  }
}

TEST(EnginePrompt, without_tokens_to_generate_only_the_prompt_is_computed) {
  const std::vector<int32_t> prompt = random_prompt(700);
  const ChoiceAnswer none = score(prompt, 0);
  EXPECT_EQ(none.finish, FinishReason::length);
  EXPECT_TRUE(none.tokens.empty());
  expect_same_infos(none.prompt, score(prompt, 5).prompt);
  EXPECT_EQ(score({7}, 0).finish, FinishReason::length);
  EXPECT_TRUE(score({7}, 1).prompt.empty());
}

// Steps never ask for more than 256 rows of logits: FakeModel checks that.
TEST(EnginePrompt, the_same_in_any_company_after_evictions_and_in_any_chunks) {
  const std::vector<int32_t> prompt = random_prompt(900);
  const ChoiceAnswer alone = score(prompt, 30);
  for (const Setting& setting :
       {Setting{.n_threads = 2, .options = {.max_batched_tokens = 33}},
        Setting{.options = {.max_sequences = 192, .max_batched_tokens = 2000}, .company = 9},
        Setting{.n_threads = 3, .options = {.kv_blocks = 32}, .company = 20}}) {
    const ChoiceAnswer other = score(prompt, 30, setting);
    expect_same_infos(alone.prompt, other.prompt);
    expect_same_infos(alone.tokens, other.tokens);
    EXPECT_EQ(alone.text, other.text);
  }
}

TEST(EnginePrompt, a_logit_that_is_no_number_ends_the_choice_with_an_error) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  model.script = [](std::span<const int32_t> history, std::span<float> logits) {
    if (history.size() == 5) logits[3] = std::nanf("");
  };
  Engine engine(context, model, &test_tokenizer(), {});
  const Call call = make_call(random_prompt(9), 3);
  call->prompt_logprobs = 0;
  submit(engine, call);
  finish_all(engine);
  EXPECT_EQ(call.answer->only().finish, FinishReason::error);
  EXPECT_TRUE(call.answer->only().tokens.empty());
}

TEST(EnginePrompt, no_tokens_without_logprobs_are_refused) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), {});
  EXPECT_THROW(engine.submit(make_call({1}, 0).request), Error);
}

}  // namespace
}  // namespace dbrx
