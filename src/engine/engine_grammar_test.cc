// Answers that a grammar binds, from models that would rather say something else.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Grammar> grammar(GrammarKind kind, const std::string& source) {
  static GrammarCompiler compiler(test_tokenizer(), kEndId, "");
  return compiler.compile(kind, source);
}

Call call_with(int64_t max_tokens, const std::string& regex) {
  Call call = make_call({1, 2, 3}, max_tokens);
  call->grammar = grammar(GrammarKind::regex, regex);
  return call;
}

// The answer of a model whose favourite is one token, whatever was said.
ChoiceAnswer ask(const Call& call, int32_t favourite) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  model.script = [&](std::span<const int32_t>, std::span<float> logits) {
    logits[static_cast<size_t>(favourite)] = 50;
  };
  Engine engine(context, model, &test_tokenizer(), {.eos_token_ids = {kEndId}});
  submit(engine, call);
  finish_all(engine);
  return call.answer->only();
}

TEST(EngineGrammar, the_text_follows_it_whatever_the_model_wants) {
  for (const int32_t favourite : {int32_t{'x'}, kAbId, kEndId, kMarkId, kHoleId}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Call call = call_with(100, "(ab|bc){2,4}-[0-9]{3}");
      call->seed = seed;
      const ChoiceAnswer choice = ask(call, favourite);
      EXPECT_EQ(choice.finish, FinishReason::stop);
      EXPECT_TRUE(std::regex_match(choice.text, std::regex("(ab|bc){2,4}-[0-9]{3}")))
          << choice.text;
    }
  }
}

TEST(EngineGrammar, ends_where_nothing_can_follow_without_a_stop_token) {
  const ChoiceAnswer choice = ask(call_with(100, "abc"), 'a');
  EXPECT_EQ(choice.text, "abc");
  EXPECT_EQ(choice.finish, FinishReason::stop);
  EXPECT_EQ(choice.ids().front(), 'a');
  EXPECT_NE(choice.ids().back(), kEndId);
}

TEST(EngineGrammar, a_stop_token_is_possible_only_where_the_text_may_end) {
  const Call call = call_with(100, "a{3,9}");
  call->stop.stop_token_ids = {'b'};
  const ChoiceAnswer choice = ask(call, 'b');
  EXPECT_EQ(choice.text, "aaa");
  EXPECT_EQ(choice.ids().back(), 'b');
  EXPECT_EQ(choice.finish, FinishReason::stop);
}

TEST(EngineGrammar, min_tokens_and_ignore_eos_hold) {
  const Call more = call_with(100, "a{3,9}");
  more->stop.min_tokens = 6;
  EXPECT_EQ(ask(more, kEndId).text.size(), 6U);
  const Call all = call_with(100, "a{3,9}");
  all->stop.ignore_eos = true;
  EXPECT_EQ(ask(all, kEndId).text.size(), 9U);
}

TEST(EngineGrammar, at_max_tokens_the_text_is_a_beginning) {
  const ChoiceAnswer cut = ask(call_with(4, "a{3}b{3}"), 'a');
  EXPECT_EQ(cut.text, "aaab");
  EXPECT_EQ(cut.finish, FinishReason::length);
  const ChoiceAnswer whole = ask(call_with(6, "a{3}b{3}"), 'a');
  EXPECT_EQ(whole.text, "aaabbb");
  EXPECT_EQ(whole.finish, FinishReason::stop);
}

TEST(EngineGrammar, each_choice_has_its_own_place_in_it) {
  const Call call = call_with(100, "[a-c]{1,20}x");
  call->n_choices = 8;
  ask(call, 'a');
  std::set<std::string> texts;
  for (const ChoiceAnswer& choice : call.answer->choices) {
    EXPECT_TRUE(std::regex_match(choice.text, std::regex("[a-c]{1,20}x"))) << choice.text;
    texts.insert(choice.text);
  }
}

// Law 1: the batch, the chunks, evictions and the threads change nothing.
TEST(EngineGrammar, the_same_request_has_the_same_answer_in_any_company) {
  const auto run = [](int n_threads, EngineOptions options, int company) {
    Context context(Isa::scalar, n_threads);
    FakeModel model(kTestVocab, 256);
    options.eos_token_ids = {kEndId};
    Engine engine(context, model, &test_tokenizer(), options);
    std::vector<Call> others;
    for (int i = 0; i < company; ++i) {
      others.push_back(make_call(std::vector<int32_t>(static_cast<size_t>(50 + i), 7), 100));
      if (i % 2 == 0) others.back()->grammar = grammar(GrammarKind::regex, "[a-z ]*");
      submit(engine, others.back());
    }
    const Call call = call_with(200, "[a-z]{5,50}(, [a-z]{5,50}){3}");
    call->n_choices = 3;
    call->top_logprobs = 2;
    submit(engine, call);
    finish_all(engine);
    return *call.answer;
  };
  const Answer alone = run(1, {}, 0);
  expect_same(alone, run(3, {.max_batched_tokens = 7}, 5));
  expect_same(alone, run(2, {.kv_blocks = 8}, 9));  // little room: sequences are evicted
  // No step waits for a token.
  expect_same(alone, run(2, {.grammar_patience = 0ns}, 2));
  expect_same(alone, run(2, {.max_batched_tokens = 7, .kv_blocks = 8, .grammar_patience = 0ns}, 9));
}

// Rules that can be read in very many ways: what may come next takes longer with each token, up to
// seconds.
Call slow_call() {
  Call call = make_call({1}, 900);
  call->grammar = grammar(GrammarKind::lark, "start: e\ne: e e | \"a\"");
  call->stop.min_tokens = 900;
  call->client = 1;
  return call;
}

TEST(EngineGrammar, one_that_takes_long_holds_up_nobody_else) {
  Context context(Isa::scalar, 2);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), {.eos_token_ids = {kEndId}});
  const Call slow = slow_call();
  submit(engine, slow);
  const auto n_slow = [&] {
    return slow.answer->choices.empty() ? 0 : slow.answer->only().tokens.size();
  };
  while (n_slow() < 250) engine.step();  // some ms each from here on
  const Call fast = make_call({2}, 500);
  fast->stop.ignore_eos = true;
  const Call bound = call_with(500, "[a-z]{900}");
  bound->client = 2;
  submit(engine, fast);
  submit(engine, bound);
  const size_t n_before = n_slow();
  while (!fast.answer->ended || !bound.answer->ended) engine.step();
  EXPECT_EQ(fast.answer->only().tokens.size(), 500U);
  EXPECT_EQ(bound.answer->only().tokens.size(), 500U);
  EXPECT_LT(n_slow() - n_before, 150U);
  slow->cancelled = true;
  finish_all(engine);
  EXPECT_EQ(slow.answer->only().finish, FinishReason::cancelled);
}

// Nor does its end: the worker is left to finish what nobody wants any more.
TEST(EngineGrammar, who_leaves_while_a_token_is_chosen_is_told_at_once) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(),
                {.grammar_patience = 0ns, .eos_token_ids = {kEndId}});
  const Call call = slow_call();
  call->n_choices = 2;
  submit(engine, call);
  while (engine.stats().generated_tokens < 400) engine.step();
  call->cancelled = true;
  engine.step();
  EXPECT_TRUE(call.answer->ended);
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  finish_all(engine);
}

TEST(EngineGrammar, one_that_becomes_too_costly_ends_its_choice_with_an_error) {
  const ChoiceAnswer choice = ask(call_with(500, "((a{1,999}){1,999}){999}"), 'a');
  EXPECT_EQ(choice.finish, FinishReason::error);
  EXPECT_NE(choice.error.find("grammar"), std::string::npos) << choice.error;
}

TEST(EngineGrammar, stop_strings_and_stops_in_the_text_are_refused_beside_it) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  Engine engine(context, model, &test_tokenizer(), {});
  const Call call = call_with(5, "a+");
  call->stop.stop = {"x"};
  EXPECT_THROW(engine.submit(call.request), Error);
  const Call included = call_with(5, "a+");
  included->stop.include_stop = true;
  EXPECT_THROW(engine.submit(included.request), Error);
}

}  // namespace
}  // namespace dbrx
