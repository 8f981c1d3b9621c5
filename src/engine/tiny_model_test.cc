// The laws of the engine on a real model, the tiny DBRX of testdata/tiny: tokens and logprobs keep
// their bits whatever the chunks, the neighbours, the threads, the instruction set and the
// evictions.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

struct Setup {
  Format kv_format = Format::f32;
  Isa isa = Isa::scalar;
  int n_threads = 1;
  int64_t max_batched_tokens = 512;
  int64_t kv_blocks = 0;
  bool one_by_one = false;
};

Model& tiny(const std::string& name) {
  static const auto f32 = load_model("testdata/tiny", {});
  static const auto bf16 = load_model("testdata/tiny-bf16", {});
  return name == "tiny" ? *f32 : *bf16;
}

std::vector<Call> tiny_calls() {
  std::vector<Call> calls;
  for (int32_t i = 0; i < 5; ++i) {
    std::vector<int32_t> prompt;
    for (int32_t t = 0; t < 3 + 37 * i; ++t) prompt.push_back((i * 131 + t * 29) % 512);
    calls.push_back(make_call(prompt, 110 - 10 * i));
    calls.back()->seed = 1000 + i;
    calls.back()->stop.ignore_eos = true;
    calls.back()->top_logprobs = 3;
    if (i % 2) calls.back()->sampling.temperature = 0;
    calls.back()->routed_experts = i > 1;
  }
  return calls;
}

std::vector<Call> answer(const std::string& name, const Setup& setup, int64_t* n_preemptions) {
  Context context(setup.isa, setup.n_threads);
  flush_denormals();
  Engine engine(context, tiny(name), nullptr,
                {.max_batched_tokens = setup.max_batched_tokens,
                 .max_context = 256,
                 .kv_blocks = setup.kv_blocks == 0 ? 32 : setup.kv_blocks,
                 .kv_format = setup.kv_format});
  std::vector<Call> calls = tiny_calls();
  for (const Call& call : calls) {
    submit(engine, call);
    if (setup.one_by_one) finish_all(engine);
  }
  finish_all(engine);
  if (n_preemptions != nullptr) *n_preemptions = engine.stats().preemptions;
  return calls;
}

void expect_same_everywhere(const std::string& name, Format kv_format) {
  const Setup plain{.kv_format = kv_format, .one_by_one = true};
  const std::vector<Call> expected = answer(name, plain, nullptr);
  const auto check = [&](const Setup& setup) {
    SCOPED_TRACE(name + ", isa " + std::string(isa_name(setup.isa)) + ", threads " +
                 std::to_string(setup.n_threads) + ", rows " +
                 std::to_string(setup.max_batched_tokens) + ", blocks " +
                 std::to_string(setup.kv_blocks));
    int64_t n_preemptions = 0;
    const std::vector<Call> calls = answer(name, setup, &n_preemptions);
    for (size_t i = 0; i < calls.size(); ++i) {
      expect_same(*calls[i].answer, *expected[i].answer);
    }
    EXPECT_EQ(n_preemptions > 0, setup.kv_blocks != 0);
  };
  const Isa best = choose_isa({});
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx}) {
    if (isa > best) continue;
    check({.kv_format = kv_format, .isa = isa, .n_threads = 2, .max_batched_tokens = 7});
    if (isa != Isa::scalar) check({.kv_format = kv_format, .isa = isa});
  }
  check({.kv_format = kv_format, .isa = best, .max_batched_tokens = 1});
  check({.kv_format = kv_format, .isa = best, .n_threads = 2, .one_by_one = true});
  check({.kv_format = kv_format, .isa = best, .n_threads = 2, .kv_blocks = 5});
  check({.kv_format = kv_format, .isa = best, .max_batched_tokens = 7, .kv_blocks = 5});
}

TEST(TinyModel, answers_keep_their_bits_with_f32_weights_and_f32_cache) {
  expect_same_everywhere("tiny", Format::f32);
}

TEST(TinyModel, answers_keep_their_bits_with_f32_weights_and_bf16_cache) {
  expect_same_everywhere("tiny", Format::bf16);
}

TEST(TinyModel, answers_keep_their_bits_with_f32_weights_and_int8_cache) {
  expect_same_everywhere("tiny", Format::int8);
}

TEST(TinyModel, answers_keep_their_bits_with_bf16_weights_and_f32_cache) {
  expect_same_everywhere("tiny-bf16", Format::f32);
}

TEST(TinyModel, answers_keep_their_bits_with_bf16_weights_and_bf16_cache) {
  expect_same_everywhere("tiny-bf16", Format::bf16);
}

TEST(TinyModel, answers_keep_their_bits_when_their_prompts_are_found_in_the_cache) {
  for (const Format kv_format : {Format::f32, Format::bf16, Format::int8}) {
    Context context(choose_isa({}), 2);
    flush_denormals();
    const EngineOptions options = {.max_context = 256, .kv_blocks = 32, .kv_format = kv_format};
    EngineOptions without = options;
    without.prefix_cache = false;
    Engine plain(context, tiny("tiny"), nullptr, without);
    Engine engine(context, tiny("tiny"), nullptr, options);
    for (const Call& call : tiny_calls()) {
      call->routed_experts = false;
      submit(plain, call);
      finish_all(plain);
      for (int i = 0; i < 2; ++i) {
        const Call again = copy(call);
        submit(engine, again);
        finish_all(engine);
        const auto n_prompt = static_cast<int64_t>(call->prompt.size());
        EXPECT_EQ(again.answer->usage.cached_tokens, i == 0 ? 0 : (n_prompt - 1) / 64 * 64);
        expect_same(*again.answer, *call.answer);
      }
    }
    EXPECT_GT(engine.stats().prefix_hits, 0);
  }
}

TEST(TinyModel, choices_of_a_request_are_what_single_choices_would_be) {
  Context context(choose_isa({}), 2);
  flush_denormals();
  Engine engine(context, tiny("tiny"), nullptr, {.max_context = 256, .kv_blocks = 32});
  const Call call = make_call({1, 2, 3}, 50);
  call->stop.ignore_eos = true;
  const Call three = copy(call);
  three->n_choices = 3;
  submit(engine, call);
  submit(engine, three);
  finish_all(engine);
  EXPECT_EQ(three.answer->choices[0].ids(), call.answer->only().ids());
  EXPECT_NE(three.answer->choices[1].ids(), call.answer->only().ids());
  EXPECT_NE(three.answer->choices[1].ids(), three.answer->choices[2].ids());
}

}  // namespace
}  // namespace dbrx
