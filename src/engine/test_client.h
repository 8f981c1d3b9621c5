// For tests: makes requests, collects what the engine answers, and checks on the way what every
// answer must obey.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace dbrx {

struct ChoiceAnswer {
  std::string text;
  std::vector<TokenInfo> tokens;
  std::vector<TokenInfo> prompt;
  std::vector<uint16_t> routed_experts;
  std::optional<FinishReason> finish;
  std::string error;
  std::string stop_reason;

  std::vector<int32_t> ids() const {
    std::vector<int32_t> result;
    for (const TokenInfo& info : tokens) result.push_back(info.id);
    return result;
  }
};

struct Answer {
  std::vector<ChoiceAnswer> choices;
  bool ended = false;
  Usage usage;
  uint64_t seed = 0;
  int64_t n_events = 0;

  const ChoiceAnswer& only() const { return choices.at(0); }
};

inline bool valid_utf8(const std::string& text) {
  std::string repaired;
  Utf8Repair repair;
  repair.push(text, repaired);
  repair.finish(repaired);
  return repaired == text;
}

// A request and where its answer goes. The answer must outlive the engine's work on the request.
struct Call {
  std::shared_ptr<Request> request = std::make_shared<Request>();
  std::shared_ptr<Answer> answer = std::make_shared<Answer>();

  Request& operator*() const { return *request; }
  Request* operator->() const { return request.get(); }
};

inline void receive(Answer& answer, const Request& request, const Event& event) {
  ++answer.n_events;
  EXPECT_FALSE(answer.ended) << "an event after the last";
  answer.choices.resize(static_cast<size_t>(request.n_choices));
  ChoiceAnswer& choice = answer.choices.at(static_cast<size_t>(event.choice));
  EXPECT_FALSE(choice.finish) << "an event after the choice ended";
  EXPECT_TRUE(valid_utf8(event.text));
  EXPECT_EQ(event.error.empty(), event.finish != FinishReason::error);
  EXPECT_TRUE(event.stop_reason.empty() || event.finish == FinishReason::stop);
  choice.text += event.text;
  choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
  EXPECT_TRUE(event.prompt.empty() || choice.tokens.empty());
  choice.prompt.insert(choice.prompt.end(), event.prompt.begin(), event.prompt.end());
  EXPECT_TRUE(event.routed_experts.empty() || request.routed_experts);
  choice.routed_experts.insert(choice.routed_experts.end(), event.routed_experts.begin(),
                               event.routed_experts.end());
  choice.finish = event.finish;
  choice.error = event.error;
  choice.stop_reason = event.stop_reason;
  answer.usage = event.usage;
  answer.seed = event.seed;
  answer.ended = event.last;
  size_t n_tokens = 0;
  bool all_ended = true;
  for (const ChoiceAnswer& c : answer.choices) {
    n_tokens += c.tokens.size();
    all_ended &= c.finish.has_value();
  }
  EXPECT_EQ(event.last, all_ended);
  EXPECT_EQ(event.usage.completion_tokens, static_cast<int64_t>(n_tokens));
  EXPECT_EQ(event.usage.prompt_tokens, static_cast<int64_t>(request.prompt.size()));
}

inline void connect(const Call& call) {
  // The request lives as long as its sink; a shared pointer to it in there would be a circle.
  call.request->sink = [answer = call.answer, request = call.request.get()](Event&& event) {
    receive(*answer, *request, event);
  };
}

inline Call make_call(std::vector<int32_t> prompt, int64_t max_tokens) {
  Call call;
  call->prompt = std::move(prompt);
  call->stop.max_tokens = max_tokens;
  call->seed = 1;
  connect(call);
  return call;
}

// The same request once more, with an answer of its own.
inline Call copy(const Call& call) {
  Call other;
  const Request& from = *call;
  Request& to = *other;
  to.id = from.id;
  to.prompt = from.prompt;
  to.n_choices = from.n_choices;
  to.sampling = from.sampling;
  to.seed = from.seed;
  to.stop = from.stop;
  to.grammar = from.grammar;
  to.top_logprobs = from.top_logprobs;
  to.prompt_logprobs = from.prompt_logprobs;
  to.routed_experts = from.routed_experts;
  to.skip_special_tokens = from.skip_special_tokens;
  to.priority = from.priority;
  to.client = from.client;
  to.client_weight = from.client_weight;
  connect(other);
  return other;
}

inline void submit(Engine& engine, const Call& call) {
  ASSERT_EQ(engine.submit(call.request), SubmitResult::ok);
}

// Steps until nothing is left, then looks for leaks.
inline void finish_all(Engine& engine) {
  while (engine.step()) {
  }
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.free_blocks, stats.total_blocks);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
}

inline void expect_same_infos(const std::vector<TokenInfo>& a, const std::vector<TokenInfo>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t t = 0; t < a.size(); ++t) {
    EXPECT_EQ(a[t].id, b[t].id);
    EXPECT_EQ(a[t].rank, b[t].rank);
    EXPECT_EQ(a[t].logprob, b[t].logprob);  // the same bits: neither is NaN
    ASSERT_EQ(a[t].top.size(), b[t].top.size());
    for (size_t k = 0; k < a[t].top.size(); ++k) {
      EXPECT_EQ(a[t].top[k].id, b[t].top[k].id);
      EXPECT_EQ(a[t].top[k].logprob, b[t].top[k].logprob);
    }
  }
}

inline void expect_same(const Answer& a, const Answer& b) {
  ASSERT_EQ(a.choices.size(), b.choices.size());
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.usage.completion_tokens, b.usage.completion_tokens);
  for (size_t i = 0; i < a.choices.size(); ++i) {
    const ChoiceAnswer& x = a.choices[i];
    const ChoiceAnswer& y = b.choices[i];
    EXPECT_EQ(x.text, y.text);
    EXPECT_EQ(x.finish, y.finish);
    EXPECT_EQ(x.stop_reason, y.stop_reason);
    EXPECT_EQ(x.routed_experts, y.routed_experts);
    ASSERT_EQ(x.ids(), y.ids());
    expect_same_infos(x.prompt, y.prompt);
    expect_same_infos(x.tokens, y.tokens);
  }
}

// A byte-level tokenizer: ids 0-255 are the bytes, 256-258 "ab", "bc" and "\xC3\xA9" (é in one
// token), 259 a hole, 260 <|end|> and 261 <|mark|> (special), nothing above.
constexpr int32_t kAbId = 256;
constexpr int32_t kBcId = 257;
constexpr int32_t kEAcuteId = 258;
constexpr int32_t kHoleId = 259;
constexpr int32_t kEndId = 260;
constexpr int32_t kMarkId = 261;
constexpr int64_t kTestVocab = 270;

const Tokenizer& test_tokenizer();

}  // namespace dbrx
