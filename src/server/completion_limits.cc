// What a call may have and takes as its client: Completion's part of server/rate_limits.h.
#include <algorithm>

#include "server/api_error.h"
#include "server/completion.h"

namespace dbrx {

// Where clients are told apart, none may go before all others for as long as it likes.
void Completion::require_priority() const {
  const bool has_keys = client_->id != 0;
  if (request_.priority >= 0 || !has_keys || client_->scopes.contains(Scope::admin)) return;
  throw ApiError(400,
                 "priority: below 0 needs a key with the scope admin, which \"" + client_->name +
                     "\" lacks; 0 is what requests have that do not say",
                 "priority", "invalid_value");
}

void Completion::reserve(const Requests& requests) {
  TokenDemand wanted = {
      .input = 0,
      .output = 0,
      .output_is_explicit = request_.max_tokens || request_.endpoint == Endpoint::completions,
      .input_field =
          request_.endpoint == Endpoint::completions ? "prompt" : request_.names.messages,
      .output_field = request_.names.max_tokens};
  for (const auto& request : requests) {
    wanted.input += static_cast<int64_t>(request->prompt.size());
    wanted.output += request->stop.max_tokens * request->n_choices;
  }
  reservation_ = services_.rate_limits.reserve(client_, wanted);
  if (!reservation_ || wanted.output_is_explicit) return;
  // It asked for no number, so it ends by length where its minute does.
  for (const auto& request : requests) {
    const int64_t granted = std::max<int64_t>(reservation_->output() / request->n_choices, 1);
    request->stop.max_tokens = std::min(request->stop.max_tokens, granted);
    request->stop.min_tokens = std::min(request->stop.min_tokens, request->stop.max_tokens);
  }
}

// Before the answer is sent, whose client may ask again at once. On the I/O thread, once begun.
void Completion::settle() {
  if (!reservation_) return;
  const Usage usage = total_usage();
  reservation_->settle(usage.prompt_tokens, usage.completion_tokens);
}

}  // namespace dbrx
