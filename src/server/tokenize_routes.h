// Text to tokens and back, as vLLM's /tokenize and /detokenize answer, for clients that count
// tokens or send ids. Called on the I/O thread; the work is a text worker's.
#pragma once

#include <memory>

#include "server/http.h"
#include "server/services.h"

namespace dbrx {

void handle_tokenize(Services& services, std::shared_ptr<const HttpRequest> request,
                     std::shared_ptr<Reply> reply);
void handle_detokenize(Services& services, std::shared_ptr<const HttpRequest> request,
                       std::shared_ptr<Reply> reply);
// Anthropic's /v1/messages/count_tokens, or /v1/responses/input_tokens.
void handle_count_tokens(Services& services, Dialect dialect,
                         std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply);

}  // namespace dbrx
