// How requests end from outside: cancelled, refused, failed, shut down.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"
#include "engine/test_rig.h"

namespace dbrx {
namespace {

void expect_cancelled(const Call& call, size_t n_tokens) {
  ASSERT_TRUE(call.answer->ended);
  for (const ChoiceAnswer& choice : call.answer->choices) {
    EXPECT_EQ(choice.finish, FinishReason::cancelled);
    EXPECT_EQ(choice.tokens.size(), n_tokens);
  }
}

TEST(EngineCancel, ends_a_request_that_is_still_submitted) {
  Rig rig;
  const Call call = long_call();
  submit(rig.engine, call);
  call->cancelled = true;
  EXPECT_TRUE(rig.engine.step());
  expect_cancelled(call, 0);
  EXPECT_EQ(rig.model.n_steps(), 0);
  finish_all(rig.engine);
}

TEST(EngineCancel, ends_a_request_that_waits) {
  Rig rig({.max_sequences = 1});
  const Call running = long_call();
  const Call waiting = long_call();
  waiting->n_choices = 2;
  submit(rig.engine, running);
  submit(rig.engine, waiting);
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().waiting, 1);
  waiting->cancelled = true;
  rig.engine.step();
  expect_cancelled(waiting, 0);
  EXPECT_EQ(rig.engine.stats().waiting, 0);
  finish_all(rig.engine);
  EXPECT_EQ(running.answer->only().finish, FinishReason::length);
}

TEST(EngineCancel, ends_a_request_in_the_middle_of_its_prompt_and_frees_its_blocks_at_once) {
  Rig rig({.max_batched_tokens = 100});
  const Call call = long_call(500);
  submit(rig.engine, call);
  rig.engine.step();
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().total_blocks - rig.engine.stats().free_blocks, 4);
  call->cancelled = true;
  rig.engine.step();
  expect_cancelled(call, 0);
  EXPECT_EQ(rig.engine.stats().total_blocks, rig.engine.stats().free_blocks);
  finish_all(rig.engine);
}

TEST(EngineCancel, ends_a_request_that_generates_with_the_text_it_held_back) {
  Rig rig;
  const Call call = long_call();
  call->sampling.logit_bias = {{'a', 100}};
  call->stop.stop = {"aaaaaaaaaaaaaaaaaaaaaaaab"};
  submit(rig.engine, call);
  for (int i = 0; i < 5; ++i) rig.engine.step();
  EXPECT_EQ(call.answer->only().text, "");
  call->cancelled = true;
  rig.engine.step();
  expect_cancelled(call, 5);
  EXPECT_EQ(call.answer->only().text, "aaaaa");
  finish_all(rig.engine);
}

TEST(EngineCancel, ends_every_choice_that_is_not_finished) {
  Rig rig({.max_sequences = 2});
  const Call call = long_call();
  call->n_choices = 5;
  submit(rig.engine, call);
  rig.engine.step();
  EXPECT_EQ(rig.engine.stats().running, 2);
  EXPECT_EQ(rig.engine.stats().waiting, 3);
  call->cancelled = true;
  rig.engine.step();
  ASSERT_TRUE(call.answer->ended);
  for (const ChoiceAnswer& choice : call.answer->choices) {
    EXPECT_EQ(choice.finish, FinishReason::cancelled);
  }
  finish_all(rig.engine);
}

TEST(EngineCancel, ends_a_request_that_was_evicted) {
  Rig rig({.max_context = 203, .kv_blocks = 4});
  const Call first = long_call();
  const Call second = long_call();
  submit(rig.engine, first);
  submit(rig.engine, second);
  while (rig.engine.stats().preemptions == 0) ASSERT_TRUE(rig.engine.step());
  EXPECT_EQ(rig.engine.stats().waiting, 1);
  second->cancelled = true;
  rig.engine.step();
  EXPECT_EQ(second.answer->only().finish, FinishReason::cancelled);
  EXPECT_GT(second.answer->only().tokens.size(), 0U);
  finish_all(rig.engine);
  EXPECT_EQ(first.answer->only().finish, FinishReason::length);
}

TEST(EngineCancel, may_come_from_the_sink) {
  Rig rig;
  const Call call = long_call();
  Request* request = call.request.get();
  call->sink = [&, request](Event&& event) {
    if (!event.finish && event.usage.completion_tokens == 3) request->cancelled = true;
    receive(*call.answer, *request, event);
  };
  submit(rig.engine, call);
  finish_all(rig.engine);
  expect_cancelled(call, 3);
}

TEST(EngineSink, that_throws_ends_its_request_with_an_error_and_no_other) {
  Rig rig;
  const Call broken = long_call(3, 20);
  broken->n_choices = 2;
  const Call other = long_call(3, 20);
  broken->sink = [&](Event&& event) {
    if (event.usage.completion_tokens == 4) throw std::bad_alloc();
    receive(*broken.answer, *broken, event);
  };
  submit(rig.engine, broken);
  submit(rig.engine, other);
  for (int i = 0; i < 2; ++i) rig.engine.step();
  EXPECT_EQ(broken.answer->usage.completion_tokens, 3);
  EXPECT_FALSE(broken.answer->ended);
  broken->sink = [&](Event&& event) {
    EXPECT_EQ(event.finish, FinishReason::error);
    EXPECT_NE(event.error, "");
    throw 1;  // again, and something that is no exception: the engine goes on all the same
  };
  finish_all(rig.engine);
  EXPECT_EQ(other.answer->only().finish, FinishReason::length);
  EXPECT_EQ(other.answer->only().tokens.size(), 20U);
}

TEST(EngineSink, that_throws_at_the_last_event_is_told_that_nothing_comes_any_more) {
  Rig rig;
  for (const int64_t max_tokens : {1, 5}) {
    const Call call = long_call(3, max_tokens);
    int n_lost = 0;
    call->n_choices = 2;
    call->sink = [](Event&& event) {
      if (event.finish) throw std::bad_alloc();
    };
    call->lost = [&] { ++n_lost; };
    submit(rig.engine, call);
    finish_all(rig.engine);
    EXPECT_EQ(n_lost, 1);
  }
  EXPECT_GT(rig.engine.stats().generated_tokens, 2);
}

TEST(EngineSink, that_takes_its_last_event_is_not_told_that_it_is_lost) {
  Rig rig;
  const Call call = long_call(3, 5);
  int n_events = 0;
  call->sink = [&](Event&&) {
    if (++n_events == 2) throw std::bad_alloc();  // the next one says so
  };
  call->lost = [] { ADD_FAILURE(); };
  submit(rig.engine, call);
  finish_all(rig.engine);
  EXPECT_EQ(n_events, 3);
}

TEST(EngineQueue, refuses_what_does_not_fit_and_takes_more_when_something_started) {
  Rig rig({.max_sequences = 1, .max_queued_requests = 2});
  std::vector<Call> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(long_call(3, 5));
  submit(rig.engine, calls[0]);
  submit(rig.engine, calls[1]);
  EXPECT_EQ(rig.engine.submit(calls[2].request), SubmitResult::queue_full);
  rig.engine.step();  // the first one runs
  EXPECT_EQ(rig.engine.stats().waiting, 1);
  submit(rig.engine, calls[2]);
  EXPECT_EQ(rig.engine.submit(calls[3].request), SubmitResult::queue_full);
  calls[2]->cancelled = true;  // makes room, too
  rig.engine.step();
  submit(rig.engine, calls[3]);
  finish_all(rig.engine);
  for (const Call& call : calls) EXPECT_TRUE(call.answer->ended);
}

TEST(EngineQueue, takes_all_requests_of_a_call_or_none) {
  Rig rig({.max_queued_requests = 3});
  const std::vector<Call> calls = {long_call(3, 5), long_call(3, 5), long_call(3, 5)};
  std::vector<std::shared_ptr<Request>> requests;
  for (const Call& call : calls) requests.push_back(call.request);
  const Call first = long_call(3, 5);
  submit(rig.engine, first);
  EXPECT_EQ(rig.engine.submit_all(requests), SubmitResult::queue_full);
  EXPECT_EQ(rig.engine.stats().waiting, 1);
  rig.engine.step();
  calls[2]->prompt.clear();
  EXPECT_THROW(rig.engine.submit_all(requests), Error);
  EXPECT_EQ(rig.engine.stats().waiting, 0);
  calls[2]->prompt = {1};
  EXPECT_EQ(rig.engine.submit_all(requests), SubmitResult::ok);
  EXPECT_EQ(rig.engine.stats().waiting, 3);
  finish_all(rig.engine);
  for (const Call& call : calls) EXPECT_TRUE(call.answer->ended);
}

TEST(EngineQueue, takes_requests_beyond_its_bound_when_told_to) {
  Rig rig({.max_queued_requests = 1});
  const std::vector<Call> calls = {long_call(3, 5), long_call(3, 5)};
  submit(rig.engine, calls[0]);
  EXPECT_EQ(rig.engine.submit_all({&calls[1].request, 1}), SubmitResult::queue_full);
  EXPECT_EQ(rig.engine.submit_all({&calls[1].request, 1}, /*beyond_bound=*/true), SubmitResult::ok);
  EXPECT_EQ(rig.engine.stats().waiting, 2);
  finish_all(rig.engine);
  for (const Call& call : calls) EXPECT_TRUE(call.answer->ended);
}

TEST(EngineQueue, a_refused_request_is_not_answered_and_throws_when_it_is_invalid) {
  Rig rig;
  const Call call = long_call();
  call->prompt.clear();
  EXPECT_THROW(rig.engine.submit(call.request), Error);
  finish_all(rig.engine);
  EXPECT_EQ(call.answer->n_events, 0);
}

TEST(EngineFailure, a_failed_step_ends_the_requests_of_its_batch_and_no_other) {
  Rig rig({.max_sequences = 3});
  const Call first = long_call();
  first->n_choices = 4;  // one of them waits
  const Call second = long_call(3, 10);
  submit(rig.engine, first);
  submit(rig.engine, second);
  rig.model.before_step = [&](const Batch&) {
    return rig.model.n_steps() == 5 ? StepResult::io_error : StepResult::ok;
  };
  while (!first.answer->ended) ASSERT_TRUE(rig.engine.step());
  for (const ChoiceAnswer& choice : first.answer->choices) {
    EXPECT_EQ(choice.finish, FinishReason::error);
    EXPECT_NE(choice.error.find("io_error"), std::string::npos);
  }
  finish_all(rig.engine);
  EXPECT_EQ(second.answer->only().finish, FinishReason::length);
  const Call third = long_call(3, 10);
  submit(rig.engine, third);
  finish_all(rig.engine);
  expect_same(*third.answer, *second.answer);
}

TEST(EngineFailure, a_step_without_memory_ends_its_requests_and_the_engine_goes_on) {
  Rig rig;
  const Call first = long_call();
  submit(rig.engine, first);
  rig.model.before_step = [&](const Batch&) -> StepResult {
    if (rig.model.n_steps() == 3) throw std::bad_alloc();
    if (rig.model.n_steps() == 7) throw Error(Code::resource_exhausted, "out of memory");
    return StepResult::ok;
  };
  for (int i = 0; i < 2; ++i) {
    const Call call = i == 0 ? first : long_call();
    if (i == 1) submit(rig.engine, call);
    while (!call.answer->ended) ASSERT_TRUE(rig.engine.step());
    EXPECT_EQ(call.answer->only().finish, FinishReason::error);
    EXPECT_NE(call.answer->only().error.find("out_of_memory"), std::string::npos);
  }
  const Call last = long_call(3, 10);
  submit(rig.engine, last);
  finish_all(rig.engine);
  EXPECT_EQ(last.answer->only().finish, FinishReason::length);
}

TEST(EngineFailure, a_logit_that_is_not_a_number_ends_its_choice_only) {
  Rig rig;
  const Call good = long_call(3, 20);
  const Call bad = long_call(4, 20);
  rig.model.script = [](std::span<const int32_t> history, std::span<float> logits) {
    if (history[3] == 5 && history.size() == 10) logits[100] = std::nanf("");
  };
  good->prompt = {1, 2, 3, 4};
  submit(rig.engine, good);
  submit(rig.engine, bad);
  finish_all(rig.engine);
  EXPECT_EQ(good.answer->only().finish, FinishReason::length);
  EXPECT_EQ(bad.answer->only().finish, FinishReason::error);
  EXPECT_NE(bad.answer->only().error, "");
  EXPECT_EQ(bad.answer->only().tokens.size(), 6U);
}

TEST(EngineStop, finishes_what_was_accepted_and_takes_nothing_new) {
  Rig rig({.max_sequences = 1});
  const Call first = long_call(3, 20);
  const Call second = long_call(3, 20);
  submit(rig.engine, first);
  submit(rig.engine, second);
  rig.engine.stop(false);
  EXPECT_EQ(rig.engine.submit(long_call().request), SubmitResult::stopping);
  rig.engine.run();
  EXPECT_EQ(first.answer->only().finish, FinishReason::length);
  EXPECT_EQ(second.answer->only().finish, FinishReason::length);
}

TEST(EngineStop, with_abort_cancels_what_runs_and_what_waits) {
  Rig rig({.max_sequences = 1});
  const Call first = long_call();
  const Call second = long_call();
  submit(rig.engine, first);
  submit(rig.engine, second);
  rig.engine.step();
  rig.engine.stop(true);
  rig.engine.run();
  expect_cancelled(first, 1);
  expect_cancelled(second, 0);
  finish_all(rig.engine);
}

TEST(EngineThreads, serves_many_submitting_threads_and_sleeps_in_between) {
  Context context(Isa::scalar, 2);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), {.max_sequences = 4, .max_queued_requests = 8});
  std::thread loop([&] { engine.run(); });
  std::atomic<int> n_ended{0};
  std::atomic<int> n_cancelled{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 25; ++i) {
        auto request = std::make_shared<Request>();
        request->prompt = {client, i};
        request->stop.max_tokens = 5 + i;
        request->sink = [&, i](Event&& event) {
          EXPECT_TRUE(event.finish != FinishReason::cancelled || i % 5 == 0);
          n_cancelled += event.finish == FinishReason::cancelled;
          n_ended += event.last;
        };
        if (i % 10 == 0) request->cancelled = true;
        while (engine.submit(request) == SubmitResult::queue_full) std::this_thread::yield();
        if (i % 10 == 5) request->cancelled = true;  // ends by this or by itself
        EXPECT_LE(engine.stats().running, 4);
        if (i % 10 == 9) {
          while (engine.stats().running > 0) std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  engine.stop(false);
  loop.join();
  EXPECT_EQ(n_ended, 100);
  EXPECT_GE(n_cancelled, 12);  // those that were so before they were submitted
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
}

TEST(EngineThreads, stop_wakes_an_idle_engine) {
  Rig rig;
  std::thread loop([&] { rig.engine.run(); });
  rig.engine.stop(false);
  loop.join();
}

TEST(EngineEnd, one_choice_may_be_cancelled_and_the_others_are_as_without_that) {
  const auto run = [](bool cancels) {
    Rig rig;
    const Call call = long_call(3, 50);
    call->n_choices = 3;
    call->seed = 7;
    call->cancelled_choices = std::vector<std::atomic<bool>>(3);
    submit(rig.engine, call);
    for (int i = 0; i < 10; ++i) rig.engine.step();
    call->cancelled_choices[1] = cancels;
    finish_all(rig.engine);
    return *call.answer;
  };
  const Answer whole = run(false);
  const Answer cut = run(true);
  EXPECT_EQ(cut.choices[1].finish, FinishReason::cancelled);
  EXPECT_LE(cut.choices[1].tokens.size(), 10U);
  for (const size_t other : {0, 2}) {
    EXPECT_EQ(cut.choices[other].finish, FinishReason::length);
    EXPECT_EQ(cut.choices[other].ids(), whole.choices[other].ids());
  }
}

}  // namespace
}  // namespace dbrx
