// Who is served when: clients beside each other, and prompts beside sequences that generate.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

std::vector<int32_t> text(int64_t n, int32_t first) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>((first + 7 * i) % 256));
  return ids;
}

// Steps take a time of their own making.
struct Rig {
  explicit Rig(EngineOptions options) : engine(context, model, nullptr, prepare(options)) {}

  EngineOptions prepare(EngineOptions& options) {
    options.clock = [this] { return clock; };
    model.before_step = [this](const Batch& batch) {
      clock += microseconds(100'000 + 1000 * batch.n_rows());
      return StepResult::ok;
    };
    return options;
  }

  Call add(uint64_t client, int64_t n_prompt, int64_t n_tokens, float weight = 1) {
    Call call = make_call(text(n_prompt, n_calls++), n_tokens);
    call->client = client;
    call->client_weight = weight;
    call->stop.ignore_eos = true;
    submit(engine, call);
    return call;
  }

  Context context{Isa::scalar, 1};
  FakeModel model{kTestVocab};
  Clock::time_point clock;
  int32_t n_calls = 0;
  Engine engine;
};

int64_t n_done(const std::vector<Call>& calls) {
  return std::ranges::count_if(calls, [](const Call& call) { return call.answer->ended; });
}

TEST(EngineFairness, a_client_with_a_thousand_requests_does_not_keep_another_one_waiting) {
  Rig rig({.max_sequences = 4, .max_batched_tokens = 64, .max_queued_requests = 2000});
  std::vector<Call> flood;
  for (int i = 0; i < 1000; ++i) flood.push_back(rig.add(1, 50, 10));
  for (int i = 0; i < 100; ++i) rig.engine.step();
  const int64_t n_before = n_done(flood);
  const Call other = rig.add(2, 50, 10);
  while (!other.answer->ended) ASSERT_TRUE(rig.engine.step());
  // Those that ran when it came, and those that have places beside it.
  EXPECT_LE(n_done(flood) - n_before, 8);
  for (const Call& call : flood) call->cancelled = true;
  finish_all(rig.engine);
}

// One client has taken all places, or all of the cache, with answers that go on for long.
TEST(EngineFairness, a_client_that_runs_nothing_does_not_wait_for_the_end_of_long_answers) {
  for (const int64_t kv_blocks : {400, 60}) {
    SCOPED_TRACE(kv_blocks);
    Rig rig({.max_sequences = 8, .max_batched_tokens = 64, .kv_blocks = kv_blocks});
    std::vector<Call> flood;
    for (int i = 0; i < 20; ++i) flood.push_back(rig.add(1, 100, 900));
    for (int i = 0; i < 300; ++i) rig.engine.step();
    const int64_t before = rig.engine.stats().preemptions;
    for (uint64_t client = 2; client < 6; ++client) {
      const Call other = rig.add(client, 50, 3);
      for (int i = 0; i < 6; ++i) rig.engine.step();
      EXPECT_TRUE(other.answer->ended) << client;
    }
    if (kv_blocks == 400) {
      EXPECT_EQ(rig.engine.stats().preemptions, before + 4);
    }
    finish_all(rig.engine);
    // Who gave a place up says the same as one who has the engine alone.
    for (size_t i = 0; i < flood.size(); ++i) {
      Rig alone({.max_sequences = 8, .max_batched_tokens = 64, .kv_blocks = 400});
      alone.n_calls = static_cast<int32_t>(i);
      const Call same = alone.add(1, 100, 900);
      finish_all(alone.engine);
      EXPECT_EQ(same.answer->only().ids(), flood[i].answer->only().ids());
    }
  }
}

TEST(EngineFairness, clients_that_always_want_something_get_tokens_by_their_weights) {
  Rig rig({.max_sequences = 4, .max_batched_tokens = 64});
  std::map<uint64_t, int64_t> n_tokens;
  std::vector<Call> calls;
  const auto add = [&](uint64_t client, int64_t n_prompt, int64_t n, float weight) {
    calls.push_back(rig.add(client, n_prompt, n, weight));
    calls.back()->sink = [&n_tokens, client, n_prompt](Event&& event) {
      n_tokens[client] += std::ssize(event.tokens);
      if (event.times.first_token == event.times.now) n_tokens[client] += n_prompt;
    };
  };
  for (int i = 0; i < 300; ++i) {
    add(1, 60, 5, 1);   // long prompts
    add(2, 5, 40, 1);   // long answers
    add(3, 20, 20, 2);  // twice the share
  }
  for (int i = 0; i < 500; ++i) rig.engine.step();
  const auto share = [&](uint64_t client) {
    return static_cast<double>(n_tokens[client]) /
           static_cast<double>(n_tokens[1] + n_tokens[2] + n_tokens[3]);
  };
  EXPECT_NEAR(share(1), 0.25, 0.03);
  EXPECT_NEAR(share(2), 0.25, 0.03);
  EXPECT_NEAR(share(3), 0.5, 0.03);
  for (const Call& call : calls) call->cancelled = true;
  finish_all(rig.engine);
}

TEST(EngineFairness, a_short_prompt_does_not_wait_for_the_end_of_another_clients_long_one) {
  Rig rig({.max_batched_tokens = 32, .kv_blocks = 100});
  const Call long_one = rig.add(1, 1000, 1);
  for (int i = 0; i < 3; ++i) rig.engine.step();
  const Call same_client = rig.add(1, 10, 1);
  const Call other = rig.add(2, 10, 1);
  for (int i = 0; i < 3; ++i) rig.engine.step();
  EXPECT_TRUE(other.answer->ended);
  EXPECT_FALSE(long_one.answer->ended);
  EXPECT_FALSE(same_client.answer->ended);
  finish_all(rig.engine);
}

TEST(EngineFairness, two_long_prompts_of_two_clients_go_on_side_by_side) {
  Rig rig({.max_batched_tokens = 32, .kv_blocks = 100});
  const Call first = rig.add(1, 640, 1);
  const Call second = rig.add(2, 640, 1);
  int64_t n_steps = 0;
  while (!first.answer->ended) {
    rig.engine.step();
    ++n_steps;
  }
  EXPECT_GT(n_steps, 36);  // 20 when it goes first
  rig.engine.step();
  rig.engine.step();
  EXPECT_TRUE(second.answer->ended);
  finish_all(rig.engine);
}

TEST(EngineFairness, a_prompt_beside_sequences_that_generate_does_not_double_their_steps) {
  Rig rig({.max_batched_tokens = 512, .kv_blocks = 200, .prefill_slowdown = 1.9});
  std::vector<double> gaps;
  for (int i = 0; i < 8; ++i) {
    const Call call = rig.add(1, 3, 600);
    call->sink = [&, last = EventTimes::Time()](Event&& event) mutable {
      if (event.times.first_token != event.times.now) {
        gaps.push_back(std::chrono::duration<double>(event.times.now - last).count());
      }
      last = event.times.now;
    };
  }
  for (int i = 0; i < 20; ++i) rig.engine.step();
  double prompt_seconds = 0;
  for (int32_t i = 0; i < 5; ++i) {
    const Call prompt = rig.add(2, 1000, 1);
    const Clock::time_point begin = rig.clock;
    while (!prompt.answer->ended) rig.engine.step();
    prompt_seconds += std::chrono::duration<double>(rig.clock - begin).count();
    for (int j = 0; j < 20; ++j) rig.engine.step();
  }
  std::ranges::sort(gaps);
  const double p50 = gaps[gaps.size() / 2];
  const double p99 = gaps[gaps.size() * 99 / 100];
  EXPECT_LE(p99 / p50, 2);
  const double idle_rate = 512 / 0.612;  // a step of so many rows takes so long
  EXPECT_GE(5000 / prompt_seconds, 0.5 * idle_rate);
  finish_all(rig.engine);
}

TEST(EngineFairness, a_prompt_has_all_rows_when_nobody_generates) {
  Rig rig({.max_batched_tokens = 512, .prefill_slowdown = 1.9});
  rig.add(1, 1000, 1);
  finish_all(rig.engine);
  EXPECT_EQ(rig.engine.stats().steps, 2);
}

}  // namespace
}  // namespace dbrx
