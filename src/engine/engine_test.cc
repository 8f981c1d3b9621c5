// The laws of the engine that are about who runs when: nothing of it may change an answer.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

std::vector<int32_t> numbers(int32_t first, int32_t n) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < n; ++i) ids.push_back((first + 7 * i) % 256);
  return ids;
}

// Five requests that differ in everything that matters to scheduling.
std::vector<Call> some_calls() {
  std::vector<Call> calls;
  for (int32_t i = 0; i < 5; ++i) {
    Call call = make_call(numbers(i, 1 + 45 * i), 200 - 30 * i);
    call->seed = 100 + i;
    call->stop.ignore_eos = true;
    call->top_logprobs = 2;
    call->n_choices = i == 2 ? 3 : 1;
    if (i == 1) call->sampling.temperature = 0;
    if (i == 3) call->sampling.frequency_penalty = 0.5F;
    calls.push_back(std::move(call));
  }
  return calls;
}

void run(const std::vector<Call>& calls, const EngineOptions& options,
         EngineStats* stats = nullptr) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), options);
  for (const Call& call : calls) submit(engine, call);
  finish_all(engine);
  for (const Call& call : calls) EXPECT_TRUE(call.answer->ended);
  if (stats != nullptr) *stats = engine.stats();
}

// The answer to each call when it has the engine for itself.
std::vector<Call> alone(const std::vector<Call>& calls) {
  std::vector<Call> result;
  for (const Call& call : calls) {
    result.push_back(copy(call));
    run({result.back()}, {.max_batched_tokens = 1024});
  }
  return result;
}

void expect_same(const std::vector<Call>& a, const std::vector<Call>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) expect_same(*a[i].answer, *b[i].answer);
}

TEST(Engine, answers_a_request_with_max_tokens_tokens) {
  const Call call = make_call({1, 2, 3}, 10);
  call->stop.ignore_eos = true;
  EngineStats stats;
  run({call}, {}, &stats);
  const ChoiceAnswer& choice = call.answer->only();
  EXPECT_EQ(choice.tokens.size(), 10U);
  EXPECT_EQ(choice.finish, FinishReason::length);
  EXPECT_EQ(call.answer->seed, 1U);
  EXPECT_EQ(call.answer->usage.prompt_tokens, 3);
  EXPECT_EQ(call.answer->usage.completion_tokens, 10);
  EXPECT_EQ(stats.prompt_tokens, 3);
  EXPECT_EQ(stats.generated_tokens, 10);
  EXPECT_EQ(stats.steps, 10);
}

TEST(Engine, gives_the_same_answer_alone_and_in_any_batch) {
  const std::vector<Call> expected = alone(some_calls());
  for (const int64_t max_sequences : {1, 2, 3, 64}) {
    const std::vector<Call> calls = some_calls();
    run(calls, {.max_sequences = max_sequences, .max_batched_tokens = 64});
    expect_same(calls, expected);
  }
}

TEST(Engine, gives_the_same_answer_whatever_the_chunk) {
  const std::vector<Call> expected = alone(some_calls());
  for (const int64_t max_rows : {1, 2, 7, 63, 64, 65, 512}) {
    const std::vector<Call> calls = some_calls();
    run(calls, {.max_batched_tokens = max_rows});
    expect_same(calls, expected);
  }
}

TEST(Engine, gives_the_same_answer_after_being_evicted_and_resumed) {
  const std::vector<Call> expected = alone(some_calls());
  for (const int64_t max_rows : {3, 50, 512}) {
    const std::vector<Call> calls = some_calls();
    EngineStats stats;
    run(calls, {.max_batched_tokens = max_rows, .max_context = 320, .kv_blocks = 7}, &stats);
    EXPECT_GT(stats.preemptions, 0);
    expect_same(calls, expected);
  }
}

TEST(Engine, gives_the_same_answer_when_every_token_is_held_back_by_a_short_pool_of_blocks) {
  // One block more than one context: somebody is evicted at almost every block boundary.
  std::vector<Call> calls;
  for (int32_t i = 0; i < 6; ++i) {
    calls.push_back(make_call(numbers(i, 60), 190));
    calls.back()->stop.ignore_eos = true;
    calls.back()->seed = i;
  }
  const std::vector<Call> expected = alone(calls);
  EngineStats stats;
  run(calls, {.max_context = 250, .kv_blocks = 5}, &stats);
  EXPECT_GT(stats.preemptions, 2);
  expect_same(calls, expected);
}

TEST(Engine, gives_the_same_answer_with_any_number_of_threads) {
  const std::vector<Call> expected = alone(some_calls());
  for (const int n_threads : {2, 3}) {
    Context context(Isa::scalar, n_threads);
    FakeModel model(kTestVocab);
    Engine engine(context, model, &test_tokenizer(), {});
    const std::vector<Call> calls = some_calls();
    for (const Call& call : calls) submit(engine, call);
    finish_all(engine);
    expect_same(calls, expected);
  }
}

TEST(Engine, a_lost_block_would_change_the_text) {
  // The fake model must notice what the laws above are about.
  const auto text_of = [](int32_t token) {
    const Call call = make_call(numbers(0, 200), 5);
    call->prompt[100] = token;
    run({call}, {});
    return call.answer->only().ids();
  };
  EXPECT_EQ(text_of(1), text_of(1));
  EXPECT_NE(text_of(1), text_of(2));
}

TEST(Engine, computes_every_token_once_when_nobody_is_evicted) {
  Context context(Isa::scalar, 1);
  FakeModel model;
  Engine engine(context, model, nullptr, {.max_batched_tokens = 7});
  const Call call = make_call(numbers(0, 100), 30);
  submit(engine, call);
  finish_all(engine);
  EXPECT_EQ(model.n_rows(), 129);  // the last token is not computed
}

TEST(Engine, prefills_in_chunks_beside_the_sequences_that_generate) {
  Context context(Isa::scalar, 1);
  FakeModel model;
  std::vector<std::vector<int64_t>> steps;
  model.before_step = [&](const Batch& batch) {
    std::vector<int64_t> rows;
    for (const BatchSpan& span : batch.spans) rows.push_back(span.n_rows);
    steps.push_back(rows);
    return StepResult::ok;
  };
  Engine engine(context, model, nullptr, {.max_batched_tokens = 8});
  const Call first = make_call({1, 2}, 5);
  const Call second = make_call(numbers(0, 16), 2);
  submit(engine, first);
  engine.step();
  submit(engine, second);
  finish_all(engine);
  EXPECT_EQ(steps, (std::vector<std::vector<int64_t>>{{2}, {1, 7}, {1, 7}, {1, 2}, {1, 1}}));
}

TEST(Engine, asks_for_logits_of_the_last_row_of_a_prompt_only) {
  Context context(Isa::scalar, 1);
  FakeModel model;
  std::vector<size_t> n_logits;
  model.before_step = [&](const Batch& batch) {
    n_logits.push_back(batch.logit_rows.size());
    return StepResult::ok;
  };
  Engine engine(context, model, nullptr, {.max_batched_tokens = 10});
  const Call call = make_call(numbers(0, 25), 2);
  submit(engine, call);
  finish_all(engine);
  EXPECT_EQ(n_logits, (std::vector<size_t>{0, 0, 1, 1}));
}

TEST(Engine, serves_the_lower_priority_number_first_and_equal_ones_in_order) {
  std::vector<std::string> order;
  Context context(Isa::scalar, 1);
  FakeModel model;
  Engine engine(context, model, nullptr, {.max_sequences = 1});
  std::vector<Call> calls;
  for (const auto& [id, priority] :
       std::vector<std::pair<std::string, int32_t>>{{"a", 0}, {"b", 5}, {"c", 0}, {"d", -1}}) {
    calls.push_back(make_call({1}, 2));
    calls.back()->id = id;
    calls.back()->priority = priority;
    calls.back()->sink = [&order, id = id](Event&& event) {
      if (event.last) order.push_back(id);
    };
    submit(engine, calls.back());
  }
  finish_all(engine);
  EXPECT_EQ(order, (std::vector<std::string>{"d", "a", "c", "b"}));
}

TEST(Engine, evicts_the_youngest_of_the_lowest_priority) {
  Context context(Isa::scalar, 1);
  FakeModel model;
  Engine engine(context, model, nullptr, {.max_context = 320, .kv_blocks = 7});
  std::vector<std::string> order;
  std::vector<Call> calls;
  for (const auto& [id, priority] :
       std::vector<std::pair<std::string, int32_t>>{{"low", 1}, {"old", 0}, {"young", 0}}) {
    calls.push_back(make_call({1}, 190));
    calls.back()->priority = priority;
    calls.back()->stop.ignore_eos = true;
    calls.back()->sink = [&order, id = id](Event&& event) {
      if (event.last) order.push_back(id);
    };
    submit(engine, calls.back());
  }
  finish_all(engine);
  EXPECT_EQ(engine.stats().preemptions, 1);
  EXPECT_EQ(order, (std::vector<std::string>{"old", "young", "low"}));
}

TEST(Engine, choices_of_a_request_differ_and_a_seed_brings_them_back) {
  const auto answer = [](uint64_t seed) {
    const Call call = make_call({1, 2, 3}, 20);
    call->n_choices = 4;
    call->seed = seed;
    run({call}, {});
    std::set<std::vector<int32_t>> texts;
    for (const ChoiceAnswer& choice : call.answer->choices) texts.insert(choice.ids());
    EXPECT_EQ(texts.size(), 4U);
    return texts;
  };
  EXPECT_EQ(answer(1), answer(1));
  EXPECT_NE(answer(1), answer(2));
}

TEST(Engine, draws_and_reports_a_seed_when_there_is_none) {
  std::vector<Call> calls;
  for (int i = 0; i < 2; ++i) {
    calls.push_back(make_call({1, 2, 3}, 20));
    calls.back()->seed.reset();
    run({calls.back()}, {});
  }
  EXPECT_NE(calls[0].answer->seed, calls[1].answer->seed);
  const Call again = copy(calls[0]);
  again->seed = calls[0].answer->seed;
  run({again}, {});
  expect_same(*again.answer, *calls[0].answer);
}

TEST(Engine, penalties_see_the_tokens_generated_before) {
  Context context(Isa::scalar, 1);
  FakeModel model(16);
  model.script = [](std::span<const int32_t>, std::span<float> logits) {
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = -static_cast<float>(i);
  };
  Engine engine(context, model, nullptr, {});
  const Call call = make_call({9}, 5);
  call->sampling = {.temperature = 0, .presence_penalty = 100};
  submit(engine, call);
  finish_all(engine);
  EXPECT_EQ(call.answer->only().ids(), (std::vector<int32_t>{0, 1, 2, 3, 4}));
}

TEST(Engine, reports_logprobs_that_sum_to_one) {
  const Call call = make_call({1, 2}, 3);
  call->top_logprobs = static_cast<int32_t>(kTestVocab);
  call->sampling = {.temperature = 0.1F, .top_k = 3};
  run({call}, {});
  for (const TokenInfo& info : call.answer->only().tokens) {
    double sum = 0;
    for (const TokenLogprob& t : info.top) sum += std::exp(t.logprob);
    EXPECT_NEAR(sum, 1, 1e-5);
    const auto own = std::find_if(info.top.begin(), info.top.end(),
                                  [&](const TokenLogprob& t) { return t.id == info.id; });
    ASSERT_NE(own, info.top.end());
    EXPECT_EQ(own->logprob, info.logprob);
  }
}

TEST(Engine, refuses_options_that_make_no_sense) {
  Context context(Isa::scalar, 1);
  FakeModel model(100, 256);
  const auto refused = [&](EngineOptions options) {
    try {
      const Engine engine(context, model, nullptr, std::move(options));
    } catch (const Error& error) {
      return error.code() == Code::invalid_argument;
    }
    return false;
  };
  EXPECT_FALSE(refused({}));
  EXPECT_TRUE(refused({.max_sequences = 0}));
  EXPECT_TRUE(refused({.max_sequences = 257}));
  EXPECT_TRUE(refused({.max_batched_tokens = 0}));
  EXPECT_TRUE(refused({.max_queued_requests = 0}));
  EXPECT_TRUE(refused({.max_context = 257}));
  EXPECT_TRUE(refused({.max_context = 1}));
  EXPECT_TRUE(refused({.kv_blocks = 3}));
  EXPECT_FALSE(refused({.max_context = 192, .kv_blocks = 3}));
  EXPECT_TRUE(refused({.eos_token_ids = {100}}));
}

}  // namespace
}  // namespace dbrx
