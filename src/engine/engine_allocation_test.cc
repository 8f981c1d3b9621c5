// Counts calls of operator new in the steps of a warm engine. Covered: the engine itself, sampling,
// text and the batch, with the fake model, which does not allocate when it is warm; and the forward
// pass, with the tiny DBRX in int4. Not covered: admission, the first and last step of a request,
// and sinks that keep what they get (the event's memory is used again only when the sink leaves it
// alone). And what happens when one of these calls fails.
//
// Not in a build with TSan, whose runtime has these operators already.
#ifndef DBRX_TSAN
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/temporary_folder.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"
#include "model/quantize.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> n_allocations{0};
std::atomic<int64_t> n_until_failure{-1};  // allocations; -1: none fails

void* allocate(size_t bytes) noexcept {
  if (n_until_failure >= 0) {
    const int64_t left = n_until_failure--;
    if (left == 0) return nullptr;
  }
  if (counting.load(std::memory_order_relaxed)) ++n_allocations;
  return std::malloc(bytes);
}

}  // namespace

// The whole test binary runs with these; the forms for arrays call them. Not inlined, or GCC
// believes that malloc's memory came from new.
[[gnu::noinline]] void* operator new(size_t bytes) {
  void* pointer = allocate(bytes);
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes);
}
[[gnu::noinline]] void operator delete(void* pointer) noexcept { std::free(pointer); }
[[gnu::noinline]] void operator delete(void* pointer, size_t) noexcept { std::free(pointer); }

namespace dbrx {
namespace {

int64_t allocations_of_100_steps(Engine& engine, const std::vector<Call>& calls) {
  for (const Call& call : calls) {
    call->sink = [](Event&& event) { EXPECT_FALSE(event.tokens.empty()); };
    submit(engine, call);
  }
  for (int i = 0; i < 100; ++i) engine.step();
  n_allocations = 0;
  counting = true;
  for (int i = 0; i < 100; ++i) engine.step();  // more than one block of the cache
  counting = false;
  const int64_t n = n_allocations;
  EXPECT_EQ(engine.stats().running, static_cast<int64_t>(calls.size()));
  finish_all(engine);
  return n;
}

std::vector<Call> decoding_calls() {
  std::vector<Call> calls;
  for (int32_t i = 0; i < 8; ++i) {
    calls.push_back(make_call({i, 1, 2}, 300));
    calls.back()->stop.ignore_eos = true;
    calls.back()->stop.stop = {"no such thing"};
  }
  calls[1]->sampling = {.temperature = 0};
  calls[2]->sampling = {.top_p = 0.9F, .top_k = 40};
  calls[3]->sampling = {.min_p = 0.05F, .presence_penalty = 1, .repetition_penalty = 1.1F};
  calls[4]->stop.min_tokens = 300;
  return calls;
}

int64_t allocations_with_fake_model(int n_threads) {
  Context context(Isa::scalar, n_threads);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), {.kv_blocks = 64, .eos_token_ids = {kEndId}});
  return allocations_of_100_steps(engine, decoding_calls());
}

TEST(EngineAllocation, a_warm_step_does_not_allocate) {
  EXPECT_EQ(allocations_with_fake_model(1), 0);
}

TEST(EngineAllocation, a_warm_step_does_not_allocate_with_threads_either) {
  EXPECT_EQ(allocations_with_fake_model(2), 0);
}

TEST(EngineAllocation, a_warm_step_of_a_packed_model_does_not_allocate) {
  const TemporaryFolder folder;
  Context context(choose_isa({}), 2);
  quantize_checkpoint(context, "testdata/tiny", folder.path() / "packed", {.progress = {}});
  const std::unique_ptr<Model> model = load_model(folder.path() / "packed", {});
  Engine engine(context, *model, nullptr, {.max_context = 256, .kv_blocks = 16});
  std::vector<Call> calls;
  for (int32_t i = 0; i < 3; ++i) {
    calls.push_back(make_call({i, 7, 11, 13}, 240));
    calls.back()->stop.ignore_eos = true;
  }
  EXPECT_EQ(allocations_of_100_steps(engine, calls), 0);
}

// How a request ended. Its sink takes events apart without allocating.
struct Ending {
  int n_ended = 0;  // choices
  int64_t n_tokens = 0;
  FinishReason reason = FinishReason::stop;  // of the last one
  bool no_memory = false;                    // said so

  void take(const Event& event) {
    n_tokens += static_cast<int64_t>(event.tokens.size());
    if (!event.finish) return;
    ++n_ended;
    reason = *event.finish;
    no_memory = event.error == "out of memory";
  }
};

// A step in which the n-th allocation fails. False when there were fewer.
bool step_without_memory(Engine& engine, int64_t n) {
  n_until_failure = n;
  engine.step();
  return n_until_failure.exchange(-1) < 0;
}

TEST(EngineWithoutMemory, a_request_that_cannot_be_admitted_ends_alone) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), {.max_sequences = 1, .kv_blocks = 64});
  Ending of_running;
  const Call running = make_call({1, 2, 3}, 200);
  running->sink = [&](const Event& event) { of_running.take(event); };
  submit(engine, running);
  for (int i = 0; i < 10; ++i) engine.step();
  int64_t n_failures = 0;
  for (bool failed = true; failed; n_failures += failed) {
    Ending ending;
    const Call call = make_call({4, 5}, 20);
    call->n_choices = 3;
    call->stop.stop = {"a long enough stop string", "b"};
    call->sink = [&](const Event& event) { ending.take(event); };
    submit(engine, call);
    failed = step_without_memory(engine, n_failures);
    EXPECT_EQ(ending.n_ended, failed ? 3 : 0);
    EXPECT_EQ(ending.no_memory, failed);
    EXPECT_EQ(engine.stats().waiting, failed ? 0 : 1);
    call->cancelled = true;
    engine.step();
    EXPECT_EQ(ending.n_ended, 3);
  }
  EXPECT_GT(n_failures, 5);
  finish_all(engine);
  EXPECT_EQ(of_running.reason, FinishReason::length);
  EXPECT_EQ(of_running.n_tokens, 200);
}

// Admission, start, the model's step and the first text.
TEST(EngineWithoutMemory, the_first_step_of_a_request_ends_or_succeeds) {
  int64_t n_failures = 0;
  for (bool failed = true; failed; n_failures += failed) {
    Context context(Isa::scalar, 1);
    FakeModel model(kTestVocab);
    Engine engine(context, model, &test_tokenizer(), {.kv_blocks = 64});
    Ending endings[2];
    for (Ending& ending : endings) {
      const Call call = make_call({1, 2, 3}, 100);
      call->routed_experts = true;
      call->stop.ignore_eos = true;
      call->sink = [&](const Event& event) { ending.take(event); };
      submit(engine, call);
      if (&ending == endings) engine.step();
    }
    failed = step_without_memory(engine, n_failures);
    finish_all(engine);
    for (const Ending& ending : endings) {
      EXPECT_EQ(ending.n_ended, 1);
      EXPECT_EQ(ending.n_tokens == 100, ending.reason == FinishReason::length);
      EXPECT_TRUE(failed || ending.reason == FinishReason::length);
    }
  }
  EXPECT_GT(n_failures, 10);
}

TEST(EngineWithoutMemory, a_choice_whose_text_cannot_be_written_ends_alone) {
  int64_t n_failures = 0;
  for (bool failed = true; failed; n_failures += failed) {
    Context context(Isa::scalar, 1);
    FakeModel model(kTestVocab);
    Engine engine(context, model, &test_tokenizer(), {.kv_blocks = 64});
    Ending endings[2];
    for (Ending& ending : endings) {
      const Call call = make_call({1, 2, 3}, 100);
      call->top_logprobs = 5;
      call->stop.ignore_eos = true;
      call->sink = [&](Event&& event) {
        const Event taken = std::move(event);  // its memory has to be asked for again
        ending.take(taken);
      };
      submit(engine, call);
    }
    for (int i = 0; i < 10; ++i) engine.step();
    failed = step_without_memory(engine, n_failures);
    EXPECT_EQ(endings[0].no_memory + endings[1].no_memory, failed ? 1 : 0);
    finish_all(engine);
    for (const Ending& ending : endings) {
      EXPECT_EQ(ending.n_ended, 1);
      EXPECT_EQ(ending.reason, ending.no_memory ? FinishReason::error : FinishReason::length);
      EXPECT_EQ(ending.n_tokens == 100, !ending.no_memory);
    }
  }
  EXPECT_GT(n_failures, 3);
}

TEST(EngineAllocation, the_counter_counts) {
  counting = true;
  n_allocations = 0;
  auto pointer = std::make_unique<int>(1);
  counting = false;
  EXPECT_EQ(n_allocations, 1);
  EXPECT_EQ(*pointer, 1);
}

}  // namespace
}  // namespace dbrx
#endif  // DBRX_TSAN
