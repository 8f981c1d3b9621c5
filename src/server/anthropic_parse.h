// The body of Anthropic's /v1/messages -> what is wanted. Pure: no engine, no sockets.
#pragma once

#include <span>
#include <string_view>

#include "server/openai_parse.h"

namespace dbrx {

// Its fields (Parameter::chat holds); docs/api.md explains them, and a test compares the two.
std::span<const Parameter> anthropic_parameters();

// count_only: of /v1/messages/count_tokens, which needs no max_tokens. Throws ApiError(400).
CompletionRequest parse_anthropic_request(std::string_view body, const ParseOptions& options,
                                          bool count_only);

}  // namespace dbrx
