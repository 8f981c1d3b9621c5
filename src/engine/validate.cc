#include "engine/validate.h"

#include <cmath>
#include <sstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/utf8.h"

namespace dbrx {
namespace {

template <typename... Parts>
void require(bool valid, const Parts&... parts) {
  if (valid) return;
  std::ostringstream message;
  (message << ... << parts);
  throw Error(Code::invalid_argument, message.str());
}

void validate_ids(const Request& request, int64_t vocab_size) {
  const auto require_id = [&](int32_t id, const char* field) {
    require(id >= 0 && id < vocab_size, field, ": token id ", id, " is outside the vocabulary of ",
            vocab_size);
  };
  for (const int32_t id : request.prompt) require_id(id, "prompt");
  for (const int32_t id : request.stop.stop_token_ids) require_id(id, "stop_token_ids");
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    require_id(id, "logit_bias");
    require(std::isfinite(bias), "logit_bias: the bias of token ", id, " is not finite");
  }
}

void validate_sampling(const SamplingParams& p) {
  // Written so that NaN fails.
  require(p.temperature >= 0 && std::isfinite(p.temperature), "temperature is ", p.temperature,
          "; it must be at least 0");
  require(p.top_p > 0 && p.top_p <= 1, "top_p is ", p.top_p, "; it must be in (0, 1]");
  require(p.top_k >= 0, "top_k is ", p.top_k, "; it must be at least 0 (0: off)");
  require(p.min_p >= 0 && p.min_p <= 1, "min_p is ", p.min_p, "; it must be in [0, 1]");
  require(std::isfinite(p.presence_penalty), "presence_penalty is not finite");
  require(std::isfinite(p.frequency_penalty), "frequency_penalty is not finite");
  require(p.repetition_penalty > 0 && std::isnormal(p.repetition_penalty), "repetition_penalty is ",
          p.repetition_penalty, "; it must be above 0");
}

void validate_stop(const StopRules& rules, bool has_text, bool scores_prompt) {
  require(rules.max_tokens >= (scores_prompt ? 0 : 1), "max_tokens is ", rules.max_tokens,
          "; it must be at least 1 (0 only where logprobs of the prompt are wanted)");
  require(rules.min_tokens >= 0 && rules.min_tokens <= rules.max_tokens, "min_tokens is ",
          rules.min_tokens, "; it must be from 0 to max_tokens (", rules.max_tokens, ")");
  require(rules.stop.empty() || has_text,
          "stop: this engine has no tokenizer, so no text to search");
  require(rules.stop.size() <= kMaxStops, "stop: there are ", rules.stop.size(),
          " stop strings; at most ", kMaxStops, " are taken");
  for (const std::string& stop : rules.stop) {
    require(!stop.empty(), "stop: a stop string is empty");
    require(stop.size() <= kMaxStopBytes, "stop: a stop string has ", stop.size(),
            " bytes; at most ", kMaxStopBytes, " are taken");
    require(is_utf8(stop), "stop: a stop string is not valid UTF-8");
  }
}

}  // namespace

void validate_request(const Request& request, const RequestLimits& limits) {
  CHECK(request.sink);
  require(!request.prompt.empty(), "prompt: there is no token; at least one is needed");
  validate_stop(request.stop, limits.has_text, request.prompt_logprobs.has_value());
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  require(n_prompt < limits.max_context && request.stop.max_tokens <= limits.max_context - n_prompt,
          "the prompt has ", n_prompt, " tokens and max_tokens is ", request.stop.max_tokens,
          "; together they must fit the context of ", limits.max_context, " tokens");
  const float weight = request.client_weight;
  require(weight >= 0.001F && weight <= 1000, "client_weight is ", weight,
          "; it must be from 0.001 to 1000");
  require(request.n_choices >= 1 && request.n_choices <= kMaxChoices, "n_choices is ",
          request.n_choices, "; it must be from 1 to ", kMaxChoices);
  const auto require_count = [&](std::optional<int32_t> count, const char* field) {
    require(count.value_or(0) >= 0 && count.value_or(0) <= limits.vocab_size, field, " is ",
            count.value_or(0), "; it must be from 0 to ", limits.vocab_size);
  };
  require_count(request.top_logprobs, "top_logprobs");
  require_count(request.prompt_logprobs, "prompt_logprobs");
  require(!request.routed_experts || limits.has_experts,
          "routed_experts: this model has no experts");
  CHECK(request.cancelled_choices.empty() ||
        std::ssize(request.cancelled_choices) == request.n_choices);
  require(!request.grammar || request.stop.stop.empty(),
          "stop: a stop string could cut the text before its grammar is satisfied; leave it out");
  require(!request.grammar || !request.stop.include_stop,
          "include_stop: what stops a text is no part of its grammar; leave it out");
  validate_sampling(request.sampling);
  validate_ids(request, limits.vocab_size);
}

}  // namespace dbrx
