// The prefix cache: what is found is not computed again, and nobody can tell by the answer.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine.h"
#include "engine/test_client.h"
#include "engine/test_rig.h"

namespace dbrx {
namespace {

std::vector<int32_t> text(int64_t n, int32_t first = 0) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>((first + 7 * i) % 256));
  return ids;
}

// Rows that the model computes until nothing is left.
int64_t rows_of(Rig& rig, const Call& call) {
  const int64_t before = rig.model.n_rows();
  submit(rig.engine, call);
  finish_all(rig.engine);
  return rig.model.n_rows() - before;
}

Call call_of(std::vector<int32_t> prompt, int64_t max_tokens = 5) {
  Call call = make_call(std::move(prompt), max_tokens);
  call->stop.ignore_eos = true;
  call->top_logprobs = 2;
  return call;
}

// The same request in an engine without the cache.
Call uncached(const Call& call) {
  Rig rig({.prefix_cache = false});
  Call alone = copy(call);
  rows_of(rig, alone);
  return alone;
}

TEST(EnginePrefix, a_prompt_seen_before_costs_its_last_rows_only_and_answers_the_same) {
  Rig rig;
  const Call first = call_of(text(200));
  EXPECT_EQ(rows_of(rig, first), 204);
  const Call second = copy(first);
  EXPECT_EQ(rows_of(rig, second), 204 - 192);
  EXPECT_EQ(first.answer->usage.cached_tokens, 0);
  EXPECT_EQ(second.answer->usage.cached_tokens, 192);
  expect_same(*first.answer, *second.answer);
  expect_same(*second.answer, *uncached(first).answer);
  const EngineStats stats = rig.engine.stats();
  EXPECT_EQ(stats.prefix_queries, 400);
  EXPECT_EQ(stats.prefix_hits, 192);
  EXPECT_EQ(stats.cached_blocks, 3);
}

TEST(EnginePrefix, what_gave_no_number_is_found_by_nobody) {
  Rig rig;
  rig.model.script = [](std::span<const int32_t>, std::span<float> logits) {
    logits[100] = std::nanf("");
  };
  const Call bad = call_of(text(200));
  rows_of(rig, bad);
  EXPECT_EQ(bad.answer->only().finish, FinishReason::error);
  EXPECT_EQ(rig.engine.stats().cached_blocks, 0);
  rig.model.script = nullptr;
  const Call good = copy(bad);
  EXPECT_EQ(rows_of(rig, good), 204);
  expect_same(*good.answer, *uncached(good).answer);
}

TEST(EnginePrefix, the_last_token_is_always_computed) {
  Rig rig;
  EXPECT_EQ(rows_of(rig, call_of(text(128), 1)), 128);
  const Call again = call_of(text(128), 1);
  EXPECT_EQ(rows_of(rig, again), 64);
  EXPECT_EQ(again.answer->usage.cached_tokens, 64);
  EXPECT_EQ(rows_of(rig, call_of(text(129), 1)), 1);
}

TEST(EnginePrefix, a_found_prompt_answers_after_one_step) {
  Rig rig({.max_batched_tokens = 70});
  rows_of(rig, call_of(text(900)));
  const int64_t before = rig.model.n_steps();
  rows_of(rig, call_of(text(900), 1));
  EXPECT_EQ(rig.model.n_steps() - before, 1);
}

TEST(EnginePrefix, an_answer_is_found_as_part_of_the_next_prompt) {
  Rig rig;
  const Call turn = call_of(text(100), 100);
  rows_of(rig, turn);
  std::vector<int32_t> longer = turn->prompt;
  for (const int32_t id : turn.answer->only().ids()) longer.push_back(id);
  longer.push_back(1);
  const Call next = call_of(longer);
  rows_of(rig, next);
  EXPECT_EQ(next.answer->usage.cached_tokens, 192);
  expect_same(*next.answer, *uncached(next).answer);
}

TEST(EnginePrefix, a_text_that_differs_anywhere_is_not_found_behind_the_difference) {
  Rig rig({.kv_blocks = 64});
  rows_of(rig, call_of(text(300)));
  for (const auto& [changed, expected] :
       std::vector<std::pair<size_t, int64_t>>{{0, 0}, {63, 0}, {64, 64}, {130, 128}, {299, 256}}) {
    std::vector<int32_t> prompt = text(300);
    prompt[changed] = 256;
    const Call call = call_of(prompt);
    rows_of(rig, call);
    EXPECT_EQ(call.answer->usage.cached_tokens, expected) << changed;
    expect_same(*call.answer, *uncached(call).answer);
  }
}

TEST(EnginePrefix, sequences_that_run_share_their_blocks) {
  Rig rig({.kv_blocks = 16});
  const Call first = call_of(text(650), 100);
  submit(rig.engine, first);
  rig.engine.step();
  rig.engine.step();
  const Call second = call_of(text(650), 100);  // alone they would need 22 blocks
  submit(rig.engine, second);
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().running, 2);
  EXPECT_EQ(rig.engine.stats().free_blocks, 16 - 12);
  finish_all(rig.engine);
  expect_same(*first.answer, *second.answer);
}

TEST(EnginePrefix, the_least_recently_used_blocks_are_given_up_first) {
  Rig rig({.max_context = 512, .kv_blocks = 8});
  rows_of(rig, call_of(text(200, 1), 1));
  rows_of(rig, call_of(text(200, 2), 1));
  EXPECT_EQ(rows_of(rig, call_of(text(200, 1), 1)), 8);  // now the younger one
  rows_of(rig, call_of(text(300, 3), 1));
  EXPECT_EQ(rows_of(rig, call_of(text(200, 1), 1)), 8);
  EXPECT_GT(rows_of(rig, call_of(text(200, 2), 1)), 8);
}

TEST(EnginePrefix, an_evicted_sequence_finds_what_is_left_of_its_blocks) {
  const auto rows = [](bool prefix_cache, int64_t* n_preemptions) {
    Rig rig({.max_context = 320, .kv_blocks = 7, .prefix_cache = prefix_cache});
    std::vector<Call> calls = {call_of(text(128, 1), 150), call_of(text(128, 2), 150)};
    for (const Call& call : calls) submit(rig.engine, call);
    finish_all(rig.engine);
    for (const Call& call : calls) {
      expect_same(*call.answer, *uncached(call).answer);
      EXPECT_EQ(call.answer->usage.cached_tokens, 0);  // as of its first start
    }
    *n_preemptions = rig.engine.stats().preemptions;
    return rig.model.n_rows();
  };
  int64_t n_with = 0, n_without = 0;
  EXPECT_LT(rows(true, &n_with), rows(false, &n_without));
  EXPECT_GT(n_with, 0);
  EXPECT_GT(n_without, 0);
}

TEST(EnginePrefix, blocks_of_a_step_that_failed_are_not_found) {
  Rig rig({.max_batched_tokens = 100});
  rig.model.before_step = [&](const Batch&) {
    return rig.model.n_steps() == 2 ? StepResult::io_error : StepResult::ok;
  };
  const Call failed = call_of(text(300));
  rows_of(rig, failed);
  EXPECT_EQ(failed.answer->only().finish, FinishReason::error);
  const Call again = call_of(text(300));
  rows_of(rig, again);
  EXPECT_EQ(again.answer->usage.cached_tokens, 64);  // of the first step
  expect_same(*again.answer, *uncached(again).answer);
}

TEST(EnginePrefix, choices_of_a_request_compute_its_prompt_once) {
  Rig rig;
  const Call call = call_of(text(200), 20);
  call->n_choices = 4;
  submit(rig.engine, call);
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().running, 1);
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().running, 4);  // with the blocks of the first one
  finish_all(rig.engine);
  EXPECT_EQ(rig.model.n_rows(), 200 + 3 * 8 + 4 * 19);
  EXPECT_EQ(call.answer->usage.cached_tokens, 0);
  expect_same(*call.answer, *uncached(call).answer);
}

TEST(EnginePrefix, choices_of_a_short_prompt_start_together) {
  Rig rig;
  const Call call = call_of(text(64), 20);
  call->n_choices = 4;
  submit(rig.engine, call);
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().running, 4);
  finish_all(rig.engine);
}

TEST(EnginePrefix, rows_whose_logprobs_or_experts_are_wanted_are_computed) {
  Rig rig;
  rows_of(rig, call_of(text(200)));
  const Call scored = call_of(text(200));
  scored->prompt_logprobs = 1;
  const Call routed = call_of(text(200));
  routed->routed_experts = true;
  for (const Call& call : {scored, routed}) {
    EXPECT_EQ(rows_of(rig, call), 204);
    EXPECT_EQ(call.answer->usage.cached_tokens, 0);
    expect_same(*call.answer, *uncached(call).answer);
  }
  EXPECT_EQ(rig.engine.stats().prefix_queries, 200);
  const Call plain = call_of(text(200));
  EXPECT_EQ(rows_of(rig, plain), 12);
}

TEST(EnginePrefix, is_off_when_told_so) {
  Rig rig({.prefix_cache = false});
  for (int i = 0; i < 2; ++i) {
    const Call call = call_of(text(200));
    EXPECT_EQ(rows_of(rig, call), 204);
    EXPECT_EQ(call.answer->usage.cached_tokens, 0);
  }
  EXPECT_EQ(rig.engine.stats().cached_blocks, 0);
  EXPECT_EQ(rig.engine.stats().prefix_queries, 0);
}

}  // namespace
}  // namespace dbrx
