// What the engine tells about itself and about the course of a request.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <set>

#include "engine/engine.h"
#include "engine/test_client.h"
#include "engine/test_rig.h"

namespace dbrx {
namespace {

TEST(EngineStats, show_a_step_that_has_not_returned_yet) {
  Rig rig;
  const Call call = long_call(3, 1);
  call->n_choices = 2;
  EngineStats seen;
  rig.model.before_step = [&](const Batch&) {
    seen = rig.engine.stats();
    return StepResult::ok;
  };
  submit(rig.engine, call);
  EXPECT_EQ(rig.engine.stats().waiting, 1);
  finish_all(rig.engine);
  EXPECT_EQ(seen.running, 2);
  EXPECT_EQ(seen.waiting, 0);
  EXPECT_EQ(seen.steps, 0);
  EXPECT_NE(seen.step_began_at, EngineStats::Time());
  EXPECT_EQ(seen.last_step_at, EngineStats::Time());
  const EngineStats after = rig.engine.stats();
  EXPECT_EQ(after.steps, 1);
  EXPECT_EQ(after.step_began_at, EngineStats::Time());
  EXPECT_GE(after.last_step_at, seen.step_began_at);
  EXPECT_GT(after.step_seconds, 0);
}

// A client that has its answer may ask for them at once.
TEST(EngineStats, include_a_request_before_its_last_event) {
  Rig rig;
  const Call call = long_call(3, 4);
  call->n_choices = 2;
  std::vector<EngineStats> seen;
  call->sink = [&](Event&& event) {
    if (event.last) seen.push_back(rig.engine.stats());
  };
  submit(rig.engine, call);
  finish_all(rig.engine);
  const EngineStats after = rig.engine.stats();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].running, 0);
  EXPECT_EQ(seen[0].waiting, 0);
  EXPECT_EQ(seen[0].free_blocks, seen[0].total_blocks);
  EXPECT_EQ(seen[0].prompt_tokens, 3);
  EXPECT_EQ(seen[0].generated_tokens, 8);
  EXPECT_EQ(seen[0].steps, after.steps);
  EXPECT_EQ(seen[0].step_rows, after.step_rows);
  EXPECT_EQ(seen[0].weight_bytes_read, after.weight_bytes_read);
  EXPECT_GT(seen[0].step_seconds, 0);
  EXPECT_LE(seen[0].step_seconds, after.step_seconds);
}

TEST(EngineStats, include_a_failed_or_cancelled_request_before_its_last_event) {
  for (const bool fails : {true, false}) {
    Rig rig;
    if (fails) rig.model.before_step = [](const Batch&) { return StepResult::io_error; };
    const Call call = long_call(3, 4);
    EngineStats seen;
    call->sink = [&](Event&&) { seen = rig.engine.stats(); };
    submit(rig.engine, call);
    call->cancelled = !fails;
    finish_all(rig.engine);
    EXPECT_EQ(seen.total_blocks, rig.engine.stats().total_blocks);
    EXPECT_EQ(seen.free_blocks, seen.total_blocks);
    EXPECT_EQ(seen.running, 0);
    EXPECT_EQ(seen.waiting, 0);
    EXPECT_EQ(seen.failed_steps, fails ? 1 : 0);
    EXPECT_EQ(seen.steps, fails ? 1 : 0);
  }
}

TEST(EngineStats, count_steps_by_their_rows) {
  Rig rig({.max_batched_tokens = 100});
  submit(rig.engine, long_call(164, 4));  // 100, 64, then 3 of 1
  finish_all(rig.engine);
  const EngineStats stats = rig.engine.stats();
  EXPECT_EQ(stats.step_rows, 167);
  std::array<int64_t, kStepRowBuckets> expected = {};
  expected[0] = 3;  // <= 1
  expected[6] = 1;  // <= 64
  expected[7] = 1;  // <= 128
  EXPECT_EQ(stats.step_row_counts, expected);
  EXPECT_EQ(stats.failed_steps, 0);
}

TEST(EngineStats, count_steps_that_failed) {
  Rig rig;
  rig.model.before_step = [](const Batch&) { return StepResult::io_error; };
  submit(rig.engine, long_call(3, 4));
  finish_all(rig.engine);
  EXPECT_EQ(rig.engine.stats().steps, 1);
  EXPECT_EQ(rig.engine.stats().failed_steps, 1);
  EXPECT_EQ(rig.engine.stats().weight_bytes_read, 0);
}

TEST(EngineStats, count_the_tokens_of_each_expert_as_the_requests_report_them) {
  Rig rig({.max_batched_tokens = 20});
  std::vector<Call> calls;
  for (int32_t i = 0; i < 3; ++i) {
    calls.push_back(make_call({i, 2, 3, 4}, 60));
    calls.back()->stop.ignore_eos = true;
    calls.back()->routed_experts = true;
    submit(rig.engine, calls.back());
  }
  finish_all(rig.engine);
  const auto n_experts = static_cast<size_t>(rig.model.config().n_experts);
  std::vector<int64_t> expected(2 * n_experts);
  for (const Call& call : calls) {
    const std::vector<uint16_t>& ids = call.answer->only().routed_experts;
    for (size_t i = 0; i < ids.size(); ++i) ++expected[i / 2 % 2 * n_experts + ids[i]];
  }
  EXPECT_EQ(rig.engine.expert_tokens(), expected);
  EXPECT_EQ(std::accumulate(expected.begin(), expected.end(), int64_t{0}), 3 * 63 * 2 * 2);
}

TEST(EngineStats, count_the_weights_that_a_step_reads_once) {
  Rig rig({.max_batched_tokens = 20});
  const Call call = make_call(std::vector<int32_t>(40, 9), 1);
  call->routed_experts = true;
  std::vector<std::set<std::pair<size_t, uint16_t>>> hit;  // of each step
  call->sink = [&](Event&& event) {
    std::set<std::pair<size_t, uint16_t>>& experts = hit.emplace_back();
    for (size_t i = 0; i < event.routed_experts.size(); ++i) {
      experts.emplace(i / 2 % 2, event.routed_experts[i]);
    }
  };
  submit(rig.engine, call);
  finish_all(rig.engine);
  ASSERT_EQ(hit.size(), 2U);  // two chunks; only the second has logits
  const WeightBytes bytes = rig.model.weight_bytes();
  EXPECT_EQ(rig.engine.stats().weight_bytes_read,
            2 * bytes.dense + bytes.head +
                bytes.expert * static_cast<int64_t>(hit[0].size() + hit[1].size()));
}

TEST(EngineTimes, say_when_a_request_was_submitted_started_and_answered_first) {
  Rig rig({.max_sequences = 1});
  const Call first = long_call(3, 2);
  const Call second = long_call(3, 3);
  std::vector<EventTimes> times;
  second->sink = [&](Event&& event) { times.push_back(event.times); };
  EventTimes::Time last_of_first;
  first->sink = [&](Event&& event) { last_of_first = event.times.now; };
  submit(rig.engine, first);
  submit(rig.engine, second);
  finish_all(rig.engine);
  ASSERT_EQ(times.size(), 3U);
  EXPECT_LE(times[0].submitted, last_of_first);
  EXPECT_LE(last_of_first, times[0].scheduled);
  EXPECT_LE(times[0].scheduled, times[0].first_token);
  EXPECT_EQ(times[0].first_token, times[0].now);
  EXPECT_LE(times[0].now, times[1].now);
  EXPECT_LE(times[1].now, times[2].now);
  for (const EventTimes& t : times) {
    EXPECT_EQ(t.submitted, times[0].submitted);
    EXPECT_EQ(t.scheduled, times[0].scheduled);
    EXPECT_EQ(t.first_token, times[0].first_token);
  }
}

TEST(EngineTimes, of_a_request_that_never_ran_have_no_start) {
  Rig rig;
  const Call call = long_call(3, 2);
  EventTimes times;
  call->sink = [&](Event&& event) { times = event.times; };
  submit(rig.engine, call);
  call->cancelled = true;
  finish_all(rig.engine);
  EXPECT_NE(times.submitted, EventTimes::Time());
  EXPECT_EQ(times.scheduled, EventTimes::Time());
  EXPECT_EQ(times.first_token, EventTimes::Time());
  EXPECT_LE(times.submitted, times.now);
}

TEST(EngineTimes, come_with_the_number_of_preemptions) {
  Rig rig({.max_context = 203, .kv_blocks = 4});
  int64_t n_preemptions[2] = {-1, -1};
  for (int64_t& n : n_preemptions) {
    const Call call = long_call(3, 200);
    call->sink = [&](Event&& event) { n = event.preemptions; };
    submit(rig.engine, call);
  }
  finish_all(rig.engine);
  EXPECT_EQ(n_preemptions[0], 0);
  EXPECT_EQ(n_preemptions[1], rig.engine.stats().preemptions);
  EXPECT_GT(n_preemptions[1], 0);
}

}  // namespace
}  // namespace dbrx
