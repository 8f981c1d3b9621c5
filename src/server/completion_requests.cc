#include "server/completion_requests.h"

#include <algorithm>

#include "server/api_error.h"
#include "server/prompt_tokens.h"

namespace dbrx {
namespace {

using Requests = std::vector<std::shared_ptr<Request>>;

constexpr int64_t kDefaultCompletionTokens = 16;  // OpenAI's, of /v1/completions
// Tokens and alternatives of an answer that is not streamed, which is kept until it is complete.
// About 80 bytes each with logprobs; a context of 32K tokens with 20 alternatives each fits.
constexpr int64_t kMaxWholeAnswer = 1 << 20;
constexpr int64_t kExpertsPerAlternative = 40;  // ids in the memory of one alternative

std::vector<std::vector<int32_t>> tokenize(const Services& services,
                                           const CompletionRequest& request) {
  std::vector<std::vector<int32_t>> prompts;
  if (request.endpoint == Endpoint::chat) {
    prompts.push_back(chat_tokens(services, request.messages, /*add_generation_prompt=*/true,
                                  request.names.messages));
  }
  for (const Prompt& prompt : request.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    if (!text) {
      prompts.push_back(std::get<std::vector<int32_t>>(prompt));
    } else if (request.wrap_prompts && services.chat_template) {
      const std::vector<ChatMessage> messages = {{.role = "user", .content = *text}};
      prompts.push_back(chat_tokens(services, messages, /*add_generation_prompt=*/true));
    } else {
      prompts.push_back(text_tokens(services, *text));
    }
  }
  for (std::vector<int32_t>& prompt : prompts) truncate_prompt(services, request, prompt);
  return prompts;
}

StopRules stop_rules(const Services& services, const CompletionRequest& request, int64_t n_prompt) {
  StopRules rules = request.stop;
  const int64_t context = services.engine.max_context();
  const int64_t room = context - n_prompt;
  const bool chat = request.endpoint == Endpoint::chat;
  const char* param = chat ? request.names.messages : "prompt";
  check_length(services, n_prompt, param);
  if (request.max_tokens.value_or(1) > room) {
    const std::string limit = request.names.max_tokens;
    throw ApiError(400,
                   "the context of this model is " + std::to_string(context) +
                       " tokens; the prompt has " + std::to_string(n_prompt) + " and " + limit +
                       " asks for " + std::to_string(*request.max_tokens) +
                       ": shorten the prompt or lower " + limit + " to " + std::to_string(room),
                   param, "context_length_exceeded");
  }
  int64_t fallback = chat ? room : std::min(room, kDefaultCompletionTokens);
  rules.max_tokens = request.max_tokens.value_or(fallback);
  if (rules.min_tokens > rules.max_tokens) {
    throw ApiError(400,
                   "min_tokens: " + std::to_string(rules.min_tokens) + " is more than the " +
                       std::to_string(rules.max_tokens) + " tokens that may be generated",
                   "min_tokens", "invalid_value");
  }
  return rules;
}

// What a grammar's error says, and of which field.
template <typename Work>
std::shared_ptr<const Grammar> grammar_by(const GrammarSource& source, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw to_api_error(Error(error.code(), source.param + ": " + error.what()), source.param);
  }
}

// Alternatives to the prompt's tokens, if their logprobs are wanted in one form or the other.
std::optional<int32_t> scored_alternatives(const CompletionRequest& request) {
  std::optional<int32_t> n = request.prompt_logprobs;
  if (request.echo && request.top_logprobs) n = std::max(n.value_or(0), *request.top_logprobs);
  if (!n && request.max_tokens == 0) return 0;  // the engine's way to compute only a prompt
  return n;
}

void check_answer_size(const CompletionRequest& wanted, const Requests& requests,
                       const ModelConfig& config) {
  if (wanted.stream) return;
  int64_t n_tokens = 0, n_experts = 0;
  for (const auto& request : requests) {
    const auto n_prompt = static_cast<int64_t>(request->prompt.size());
    n_tokens += request->stop.max_tokens * wanted.n;
    if (request->prompt_logprobs) n_tokens += n_prompt * wanted.n;
    if (!request->routed_experts) continue;
    n_experts += (n_prompt + request->stop.max_tokens) * wanted.n * config.n_layers * config.top_k;
  }
  const int32_t n_top =
      std::max(wanted.top_logprobs.value_or(0), scored_alternatives(wanted).value_or(0));
  const int64_t size = n_tokens * (1 + n_top) + n_experts / kExpertsPerAlternative;
  if (size <= kMaxWholeAnswer) return;
  throw ApiError(400,
                 "stream: the answer may have " + std::to_string(size) +
                     " tokens and alternatives, more than the " + std::to_string(kMaxWholeAnswer) +
                     " of one that is sent as a whole: set stream to true, lower " +
                     wanted.names.max_tokens +
                     ", n or the number of logprobs, or leave out return_routed_experts",
                 "stream", "invalid_value");
}

}  // namespace

void truncate_prompt(const Services& services, const CompletionRequest& request,
                     std::vector<int32_t>& prompt) {
  if (!request.truncate_prompt) return;
  const int64_t room = services.engine.max_context() - request.max_tokens.value_or(1);
  const int64_t wanted = *request.truncate_prompt == 0 ? room : *request.truncate_prompt;
  const int64_t surplus = static_cast<int64_t>(prompt.size()) - std::max<int64_t>(wanted, 1);
  if (surplus > 0) prompt.erase(prompt.begin(), prompt.begin() + surplus);
}

std::shared_ptr<const Grammar> kept_grammar(const Services& services,
                                            const CompletionRequest& request) {
  const GrammarSource& source = *request.grammar;
  if (services.grammars == nullptr) {
    throw ApiError(400, source.param + ": this model has no end-of-text token, so no grammar",
                   source.param, "unsupported_parameter");
  }
  return grammar_by(source, [&] { return services.grammars->kept(source.kind, source.text); });
}

std::shared_ptr<const Grammar> compile_grammar(const Services& services,
                                               const CompletionRequest& request) {
  const GrammarSource& source = *request.grammar;
  return grammar_by(source, [&] { return services.grammars->compile(source.kind, source.text); });
}

Requests make_engine_requests(const Services& services, const CompletionRequest& wanted,
                              const std::shared_ptr<const Grammar>& grammar, uint64_t seed) {
  const ModelConfig& config = services.engine.model_config();
  if (wanted.return_routed_experts && config.n_experts == 0) {
    throw ApiError(400, "return_routed_experts: this model has no experts", "return_routed_experts",
                   "unsupported_parameter");
  }
  Requests requests;
  for (std::vector<int32_t>& prompt : tokenize(services, wanted)) {
    auto request = std::make_shared<Request>();
    request->stop = stop_rules(services, wanted, static_cast<int64_t>(prompt.size()));
    request->prompt = std::move(prompt);
    request->n_choices = wanted.n;
    request->sampling = wanted.sampling;
    request->grammar = grammar;
    request->seed = seed;
    request->top_logprobs = wanted.top_logprobs;
    request->prompt_logprobs = scored_alternatives(wanted);
    request->routed_experts = wanted.return_routed_experts;
    request->skip_special_tokens = wanted.skip_special_tokens;
    request->priority = wanted.priority;
    requests.push_back(std::move(request));
  }
  check_answer_size(wanted, requests, config);
  return requests;
}

ApiError shutting_down() {
  return ApiError(503, "the server is shutting down", "", "shutting_down");
}

ApiError engine_stall() {
  return ApiError(503, "the engine has made no step for too long", "", "stalled");
}

void require_taken(SubmitResult result) {
  switch (result) {
    case SubmitResult::ok:
      return;
    case SubmitResult::queue_full:
      throw ApiError(429,
                     "the queue has no room for this (--max-queue): too many requests wait, of "
                     "this client or of all: try again later",
                     "", "rate_limit_exceeded");
    case SubmitResult::stopping:
      throw shutting_down();
  }
}

std::vector<std::string> echoed_prompts(const Services& services, const CompletionRequest& request,
                                        const Requests& requests) {
  std::vector<std::string> texts;
  if (!request.echo) return texts;
  for (size_t i = 0; i < requests.size(); ++i) {
    // What the tokens say is the client's text only where nothing was cut off or put around it.
    const auto* text = request.truncate_prompt || request.wrap_prompts
                           ? nullptr
                           : std::get_if<std::string>(&request.prompts[i]);
    texts.push_back(text ? *text
                         : services.tokenizer.decode(requests[i]->prompt, /*skip_special=*/false));
  }
  return texts;
}

}  // namespace dbrx
