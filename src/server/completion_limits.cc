// What a call takes of its client's limits: Completion's part of server/rate_limits.h.
#include "server/completion.h"

namespace dbrx {

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
}

// Before the answer is sent, whose client may ask again at once. On the I/O thread, once begun.
void Completion::settle() {
  if (!reservation_) return;
  const Usage usage = total_usage();
  reservation_->settle(usage.prompt_tokens, usage.completion_tokens);
}

}  // namespace dbrx
