// What goes into the engine and what comes out.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/grammar.h"

namespace dbrx {

// How the next token is chosen. Order of application: repetition, presence and frequency penalties,
// logit_bias, temperature, then top_k, top_p, min_p on the softmax. docs/api.md and sampler.h have
// the formulas.
struct SamplingParams {
  float temperature = 1;         // 0: greedy (the lower id wins a tie)
  float top_p = 1;               // (0, 1]
  int32_t top_k = 0;             // 0: off
  float min_p = 0;               // [0, 1]
  float presence_penalty = 0;    // on tokens generated so far
  float frequency_penalty = 0;   // on tokens generated so far
  float repetition_penalty = 1;  // on tokens of the prompt and generated, > 0
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // id, added to the logit
};

struct StopRules {
  // Generated tokens per choice, >= 1; 0 with Request::prompt_logprobs: only the prompt is
  // computed.
  int64_t max_tokens = 0;
  int64_t min_tokens = 0;               // no stop token and no stop string among this many
  std::vector<std::string> stop;        // the text ends before the first of these that appears
  std::vector<int32_t> stop_token_ids;  // besides the model's own end-of-text ids
  bool ignore_eos = false;              // the model's own end-of-text ids do not stop
  bool include_stop = false;            // the text ends with what stopped it, string or token
};

enum class FinishReason { stop, length, cancelled, error };

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural log, of the raw logits
};

// A token, generated or of the prompt, with the alternatives that were asked for.
struct TokenInfo {
  int32_t id = 0;
  float logprob = 0;              // set when Request::top_logprobs has a value
  int32_t rank = 0;               // of prompt tokens: 1 for the likeliest of all
  std::vector<TokenLogprob> top;  // descending; ties by lower id
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;  // of all choices so far; the token that stopped one counts
  int64_t cached_tokens = 0;      // of the prompt, found when the first choice started
};

// When things happened to a choice; each is 0 (default-constructed) until it did.
struct EventTimes {
  using Time = std::chrono::steady_clock::time_point;
  Time submitted;
  Time scheduled;    // its first row is in a step that begins
  Time first_token;  // the step that gave it has ended
  Time now;          // the step of this event has ended; of a cancelled one, began
};

// Sent to the request's sink from the engine thread: any number per choice, exactly one with
// `finish` per choice, and `last` on the final one of the request. Texts of a choice, joined, are
// its answer; each is valid UTF-8 by itself.
struct Event {
  int32_t choice = 0;
  std::string text;  // may be empty while a code point or a stop string is incomplete
  // Tokens behind this event (not always those behind its text), the one that stopped it included.
  std::vector<TokenInfo> tokens;
  // With Request::prompt_logprobs: the next prompt tokens, from the second one on (the first has no
  // probability). All of them come before the first of `tokens`.
  std::vector<TokenInfo> prompt;
  // With Request::routed_experts: [tokens, layers, k] expert ids, ascending within a layer, of the
  // next tokens of prompt and answer. The last token of an answer is never computed and has none.
  std::vector<uint16_t> routed_experts;
  std::optional<FinishReason> finish;
  std::string error;        // with FinishReason::error: what happened
  std::string stop_reason;  // the stop string that ended the choice, if one did
  bool stop_token = false;  // the last of `tokens` ended the choice and leaves no text
  bool last = false;
  Usage usage;
  EventTimes times;
  int64_t preemptions = 0;  // of the choice so far
  uint64_t seed = 0;        // the seed used
};

// Owned by the connection and the engine together; everything but `cancelled` is constant once
// submitted.
struct Request {
  std::string id;
  std::vector<int32_t> prompt;  // not empty; prompt + max_tokens fits the context
  int32_t n_choices = 1;
  SamplingParams sampling;
  std::optional<uint64_t> seed;  // missing: drawn at submit, and reported
  StopRules stop;
  // The text follows it. A choice then ends when nothing can follow, or by a stop token that is
  // possible only where the text may end: FinishReason::stop means that the text is complete.
  std::shared_ptr<const Grammar> grammar;
  std::optional<int32_t> top_logprobs;  // report logprobs, with this many alternatives (0: none)
  // Report logprobs of the prompt's tokens, with this many alternatives. Each choice does so.
  std::optional<int32_t> prompt_logprobs;
  bool routed_experts = false;      // report the experts of each token. Each choice does so
  bool skip_special_tokens = true;  // special tokens leave no text
  int32_t priority = 0;             // lower runs first
  uint64_t client = 0;              // whose it is, 0: nobody's; among clients the engine is fair
  float client_weight = 1;          // 0.001 to 1000; twice the weight is twice the share
  // Called from the engine thread; must not block. One that throws loses that event, and the next
  // step ends the request with FinishReason::error.
  std::function<void(Event&&)> sink;
  // Called from the engine thread when the sink threw at the last event: nothing comes any more.
  // Memory is probably short: it must not need any, and must not throw. May be empty.
  std::function<void()> lost;

  // Any thread may set it; the engine ends the request at its next step.
  std::atomic<bool> cancelled{false};
  // [n_choices] or empty: the same of single choices.
  std::vector<std::atomic<bool>> cancelled_choices{};
};

}  // namespace dbrx
