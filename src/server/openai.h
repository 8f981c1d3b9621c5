// Handlers of the OpenAI routes. Called on the I/O thread.
#pragma once

#include <memory>
#include <string>

#include "server/http.h"
#include "server/openai_services.h"

namespace dbrx {

// /v1/chat/completions and /v1/completions. Hands the body to a text worker and returns.
void handle_completion(OpenAiServices& services, Endpoint endpoint,
                       std::shared_ptr<const HttpRequest> request, std::shared_ptr<Reply> reply);

// GET /v1/models and /v1/models/{name}; throws ApiError(404).
HttpResponse list_models(const OpenAiServices& services);
HttpResponse describe_model(const OpenAiServices& services, const std::string& name);

}  // namespace dbrx
