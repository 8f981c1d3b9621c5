// The body of OpenAI's /v1/responses -> what is wanted. Pure: no engine, no sockets.
#pragma once

#include <span>
#include <string_view>

#include "server/openai_parse.h"

namespace dbrx {

// Its fields (Parameter::chat holds); docs/api.md explains them, and a test compares the two.
std::span<const Parameter> responses_parameters();

// Throws ApiError(400).
CompletionRequest parse_responses_request(std::string_view body, const ParseOptions& options);

}  // namespace dbrx
