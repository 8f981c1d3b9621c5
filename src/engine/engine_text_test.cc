// How answers end by what is in them, and the text that comes of tokens. The model is told what to
// say.
#include <gtest/gtest.h>

#include <set>

#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/test_client.h"

namespace dbrx {
namespace {

std::vector<int32_t> bytes(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

// Submits the request to a model that says `speech`, then <|end|> forever.
ChoiceAnswer say(const std::vector<int32_t>& speech, const Call& call,
                 const std::vector<int32_t>& eos_token_ids = {kEndId}) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  const size_t n_prompt = call->prompt.size();
  model.script = [&](std::span<const int32_t> history, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0F);
    const size_t at = history.size() - n_prompt;
    logits[at < speech.size() ? static_cast<size_t>(speech[at]) : kEndId] = 50;
    logits['~'] = 10;  // what comes when the first may not
  };
  Engine engine(context, model, &test_tokenizer(), {.eos_token_ids = eos_token_ids});
  submit(engine, call);
  finish_all(engine);
  return call.answer->only();
}

Call call_with(int64_t max_tokens, std::vector<std::string> stop = {}) {
  Call call = make_call({1, 2, 3}, max_tokens);
  call->sampling.temperature = 0;
  call->stop.stop = std::move(stop);
  return call;
}

TEST(EngineText, ends_at_the_end_of_text_token_which_counts_but_leaves_no_text) {
  const Call call = call_with(10);
  const ChoiceAnswer choice = say(bytes("hi"), call);
  EXPECT_EQ(choice.text, "hi");
  EXPECT_EQ(choice.finish, FinishReason::stop);
  EXPECT_EQ(choice.ids(), (std::vector<int32_t>{'h', 'i', kEndId}));
  EXPECT_EQ(call.answer->usage.completion_tokens, 3);
  EXPECT_EQ(choice.stop_reason, "");
}

TEST(EngineText, ends_at_each_of_the_models_end_of_text_tokens) {
  for (const int32_t end : {kEndId, kMarkId}) {
    const ChoiceAnswer choice = say({'h', 'i', end, 'x'}, call_with(10), {kMarkId, kEndId});
    EXPECT_EQ(choice.text, "hi");
    EXPECT_EQ(choice.finish, FinishReason::stop);
    EXPECT_EQ(choice.ids(), (std::vector<int32_t>{'h', 'i', end}));
  }
}

TEST(EngineText, finds_stop_strings_in_every_choice) {
  const Call call = call_with(20, {"llo"});
  call->n_choices = 3;
  say(bytes("hello"), call);
  for (const ChoiceAnswer& choice : call.answer->choices) {
    EXPECT_EQ(choice.text, "he");
    EXPECT_EQ(choice.stop_reason, "llo");
  }
}

TEST(EngineText, the_end_of_text_token_leaves_no_text_even_when_special_tokens_are_shown) {
  const Call call = call_with(10);
  call->skip_special_tokens = false;
  EXPECT_EQ(say({'h', kMarkId, 'i'}, call).text, "h<|mark|>i");
}

TEST(EngineText, special_tokens_leave_no_text_by_default) {
  EXPECT_EQ(say({'h', kMarkId, 'i'}, call_with(10)).text, "hi");
}

TEST(EngineText, ends_with_length_at_max_tokens) {
  const ChoiceAnswer choice = say(bytes("hello"), call_with(3));
  EXPECT_EQ(choice.text, "hel");
  EXPECT_EQ(choice.finish, FinishReason::length);
}

TEST(EngineText, a_stop_at_the_last_token_is_a_stop) {
  EXPECT_EQ(say(bytes("hi"), call_with(3)).finish, FinishReason::stop);
  const Call call = call_with(3, {"el"});
  const ChoiceAnswer choice = say(bytes("hel"), call);
  EXPECT_EQ(choice.finish, FinishReason::stop);
  EXPECT_EQ(choice.text, "h");
}

TEST(EngineText, ends_before_a_stop_string_across_tokens) {
  const Call call = call_with(20, {"zz", "llo w"});
  const ChoiceAnswer choice = say(bytes("hello world"), call);
  EXPECT_EQ(choice.text, "he");
  EXPECT_EQ(choice.finish, FinishReason::stop);
  EXPECT_EQ(choice.stop_reason, "llo w");
  EXPECT_EQ(call.answer->usage.completion_tokens, 7);
}

TEST(EngineText, ends_with_what_stopped_it_where_that_is_wanted) {
  const Call by_string = call_with(20, {"zz", "llo w"});
  by_string->stop.include_stop = true;
  const ChoiceAnswer choice = say(bytes("hello world"), by_string);
  EXPECT_EQ(choice.text, "hello w");
  EXPECT_EQ(choice.stop_reason, "llo w");
  const Call inside = call_with(20, {"b"});
  inside->stop.include_stop = true;
  EXPECT_EQ(say({'x', kBcId, 'y'}, inside).text, "xb");  // c is after it
  const Call by_id = call_with(20);
  by_id->stop.include_stop = true;
  by_id->stop.stop_token_ids = {kBcId};
  EXPECT_EQ(say({'x', kBcId, 'y'}, copy(by_id)).text, "xbc");
  // Special tokens have a text only where they are shown.
  EXPECT_EQ(say(bytes("hi"), copy(by_id)).text, "hi");
  by_id->skip_special_tokens = false;
  EXPECT_EQ(say(bytes("hi"), copy(by_id)).text, "hi<|end|>");
}

TEST(EngineText, a_stop_token_that_leaves_text_is_reported_so) {
  for (const bool include : {false, true}) {
    const Call call = call_with(20);
    call->stop.include_stop = include;
    call->stop.stop_token_ids = {kBcId};
    bool hidden = false;
    call->sink = [&](Event&& event) {
      hidden = event.stop_token;
      receive(*call.answer, *call, event);
    };
    say({'x', kBcId}, call);
    EXPECT_EQ(hidden, !include);
  }
}

TEST(EngineText, ends_before_a_stop_string_inside_a_token) {
  EXPECT_EQ(say({'x', kAbId, 'y'}, call_with(20, {"b"})).text, "xa");
  EXPECT_EQ(say({'x', kAbId, kBcId, 'y'}, call_with(20, {"bb"})).text, "xa");
}

TEST(EngineText, gives_out_what_it_held_back_when_no_stop_string_came_of_it) {
  const ChoiceAnswer ended = say(bytes("hel"), call_with(20, {"lo"}));
  EXPECT_EQ(ended.text, "hel");
  const ChoiceAnswer full = say(bytes("hel"), call_with(3, {"lo"}));
  EXPECT_EQ(full.text, "hel");
  EXPECT_EQ(full.finish, FinishReason::length);
}

TEST(EngineText, never_sends_text_that_a_stop_string_takes_back_later) {
  const Call call = call_with(20, {"low"});
  std::vector<std::string> texts;
  call->sink = [&](Event&& event) { texts.push_back(event.text); };
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  const std::vector<int32_t> speech = bytes("helolow");
  model.script = [&](std::span<const int32_t> history, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0F);
    logits[static_cast<size_t>(speech[history.size() - 3])] = 50;
  };
  Engine engine(context, model, &test_tokenizer(), {.eos_token_ids = {kEndId}});
  submit(engine, call);
  finish_all(engine);
  EXPECT_EQ(texts, (std::vector<std::string>{"h", "e", "", "", "lo", "", ""}));
}

TEST(EngineText, finds_a_stop_string_whose_characters_are_split_between_tokens) {
  // é as two tokens of one byte, then as one token.
  EXPECT_EQ(say(bytes("xéy"), call_with(20, {"éy"})).text, "x");
  EXPECT_EQ(say({'x', kEAcuteId, 'y'}, call_with(20, {"é"})).text, "x");
  // è shares its first byte with é, which must neither be found in it nor be lost.
  EXPECT_EQ(say(bytes("xèy"), call_with(20, {"é"})).text, "xèy");
}

TEST(EngineText, waits_for_whole_characters) {
  const ChoiceAnswer choice = say(bytes("€uro 😀"), call_with(20));  // receive() checks each event
  EXPECT_EQ(choice.text, "€uro 😀");
}

TEST(EngineText, replaces_a_character_that_the_end_leaves_incomplete) {
  EXPECT_EQ(say({'x', 0xE2, 0x82}, call_with(20)).text, "x\uFFFD");
  EXPECT_EQ(say({'x', 0xE2, 0x82}, call_with(3)).text, "x\uFFFD");
}

TEST(EngineText, stop_token_ids_end_the_answer_without_text) {
  const Call call = call_with(20);
  call->stop.stop_token_ids = {kBcId};
  const ChoiceAnswer choice = say({'x', kBcId, 'y'}, call);
  EXPECT_EQ(choice.text, "x");
  EXPECT_EQ(choice.finish, FinishReason::stop);
  EXPECT_EQ(choice.ids(), (std::vector<int32_t>{'x', kBcId}));
}

TEST(EngineText, ignore_eos_goes_on_after_the_end_of_text) {
  const Call call = call_with(5);
  call->stop.ignore_eos = true;
  const ChoiceAnswer choice = say(bytes("hi"), call);
  EXPECT_EQ(choice.text, "hi");
  EXPECT_EQ(choice.ids(), (std::vector<int32_t>{'h', 'i', kEndId, kEndId, kEndId}));
  EXPECT_EQ(choice.finish, FinishReason::length);
}

TEST(EngineText, min_tokens_does_not_exclude_an_end_of_text_token_that_is_ignored) {
  const Call call = call_with(5);
  call->stop.ignore_eos = true;
  call->stop.min_tokens = 5;
  EXPECT_EQ(say(bytes("hi"), call).ids(), (std::vector<int32_t>{'h', 'i', kEndId, kEndId, kEndId}));
}

TEST(EngineText, ignore_eos_still_stops_at_the_requests_own_ids) {
  const Call call = call_with(5);
  call->stop.ignore_eos = true;
  call->stop.stop_token_ids = {kEndId};
  EXPECT_EQ(say(bytes("hi"), call).finish, FinishReason::stop);
}

TEST(EngineText, min_tokens_excludes_every_end_before_it) {
  const Call call = call_with(20);
  call->stop.min_tokens = 4;
  EXPECT_EQ(say(bytes("hi"), call).text, "hi~~");
  const Call by_id = call_with(20);
  by_id->stop.min_tokens = 4;
  by_id->stop.stop_token_ids = {'i'};
  EXPECT_EQ(say(bytes("hihihi"), by_id).text, "h~h~h");
  const Call by_string = call_with(20, {"hi"});
  by_string->stop.min_tokens = 3;
  EXPECT_EQ(say(bytes("hihi, hi"), by_string).text, "hihi, ");
}

TEST(EngineText, never_samples_an_id_without_a_token) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  model.script = [](std::span<const int32_t>, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0F);
    logits[kHoleId] = 60;
    for (size_t id = 262; id < logits.size(); ++id) logits[id] = 70;
    logits[kMarkId] = 20;
    logits['x'] = 20;
  };
  Engine engine(context, model, &test_tokenizer(), {});
  const Call call = make_call({kHoleId, 269}, 100);
  call->top_logprobs = 1;
  submit(engine, call);
  finish_all(engine);
  std::set<int32_t> seen;
  for (const TokenInfo& info : call.answer->only().tokens) {
    seen.insert(info.id);
    EXPECT_EQ(info.top[0].id, 262);  // logprobs stay raw
    EXPECT_LT(info.logprob, -40);
  }
  EXPECT_EQ(seen, (std::set<int32_t>{'x', kMarkId}));
}

TEST(EngineText, works_without_a_tokenizer) {
  Context context(Isa::scalar, 1);
  FakeModel model(kTestVocab);
  Engine engine(context, model, nullptr, {.eos_token_ids = {kEndId}});
  const Call call = make_call({1}, 10);
  call->sampling.logit_bias = {{kEndId, 100}};
  call->stop.min_tokens = 3;
  submit(engine, call);
  finish_all(engine);
  EXPECT_EQ(call.answer->only().text, "");
  EXPECT_EQ(call.answer->only().tokens.size(), 4U);
  EXPECT_EQ(call.answer->only().finish, FinishReason::stop);
}

}  // namespace
}  // namespace dbrx
