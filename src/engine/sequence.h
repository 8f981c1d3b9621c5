// What the engine knows about a request in progress. Owned and changed by the engine thread alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/block_pool.h"
#include "engine/grammar_choice.h"
#include "engine/request.h"
#include "engine/text_stream.h"
#include "kernels/attention/attention.h"

namespace dbrx {

struct ActiveRequest;
struct Client;

constexpr int64_t blocks_for(int64_t n_tokens) {
  return (n_tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

// One choice of a request: the unit that is scheduled.
struct Sequence {
  enum class State { waiting, running, finished };

  ActiveRequest* owner = nullptr;
  int32_t choice = 0;
  State state = State::waiting;
  Client* client = nullptr;  // of the scheduler's line
  int64_t start = -1;        // its place among all that have started; -1: has not run yet
  std::vector<int32_t> generated;
  int64_t n_computed = 0;       // tokens whose keys and values are in the cache
  std::vector<int32_t> blocks;  // cache blocks, room for n_computed tokens and those of this step
  int64_t n_named = 0;          // of these blocks, from the first on, are complete
  BlockName last_name = kNoBlock;  // of the last of those
  int64_t n_cached = 0;            // tokens that were in the cache when it started
  int64_t n_charged = 0;           // tokens that its client was charged for
  int64_t n_rows = 0;              // rows of it in this step; 0: not in the step
  int64_t n_scored = 1;            // prompt tokens whose logprobs were reported; the first has none
  int64_t n_routed = 0;            // tokens whose experts are known
  int64_t n_preemptions = 0;
  EventTimes::Time scheduled;              // as in EventTimes
  EventTimes::Time first_token;            // as in EventTimes
  std::vector<uint16_t> routed_experts;    // as Event::routed_experts, for the next event
  std::optional<TextStream> text;          // empty without a tokenizer
  std::unique_ptr<GrammarChoice> grammar;  // of a request with one, from its first sample on
  std::string failure;                     // why its row of the step has no sample

  int64_t n_tokens() const;  // prompt and generated
  int32_t token(int64_t index) const;
  bool samples() const;  // in this step
  // Whether its next token is being chosen: until it is, its known tokens are all that can be
  // computed.
  bool is_choosing() const { return grammar && grammar->pending; }
  // Whether logprobs of its prompt are still to be reported.
  bool scores_prompt() const;
};

struct ActiveRequest {
  std::shared_ptr<Request> request;
  uint64_t seed = 0;
  EventTimes::Time submitted;
  int64_t arrival = 0;             // order of submission
  bool started = false;            // one of its sequences has run
  bool sink_threw = false;         // nobody takes the answer: the next step ends it
  std::vector<StopPattern> stops;  // of its stop strings; the texts of all choices search with them
  std::vector<Sequence> choices;   // never resized: the scheduler keeps pointers
  int64_t n_unfinished = 0;        // choices
  int64_t completion_tokens = 0;   // of all choices
  int64_t cached_tokens = 0;       // of the prompt, when its first choice started
};

inline int64_t Sequence::n_tokens() const {
  return static_cast<int64_t>(owner->request->prompt.size() + generated.size());
}

inline bool Sequence::samples() const {
  return n_computed + n_rows == n_tokens() && owner->request->stop.max_tokens > 0 && !is_choosing();
}

inline bool Sequence::scores_prompt() const {
  const Request& request = *owner->request;
  return request.prompt_logprobs && n_scored < static_cast<int64_t>(request.prompt.size());
}

inline int32_t Sequence::token(int64_t index) const {
  const std::vector<int32_t>& prompt = owner->request->prompt;
  const auto i = static_cast<size_t>(index);
  return i < prompt.size() ? prompt[i] : generated[i - prompt.size()];
}

}  // namespace dbrx
