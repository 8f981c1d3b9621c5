// From what a call asks for to the engine's requests: tokens, grammar, limits. For text workers: it
// may take a while.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/api_error.h"
#include "server/openai_parse.h"
#include "server/services.h"

namespace dbrx {

// One request per prompt, without ids and sinks. Throws ApiError(400): a prompt or its answer does
// not fit the context, a grammar can't be compiled, the whole answer could be too large.
std::vector<std::shared_ptr<Request>> make_engine_requests(const Services& services,
                                                           const CompletionRequest& request,
                                                           uint64_t seed);

// Keeps the end of a prompt, as far as the request asks for that.
void truncate_prompt(const Services& services, const CompletionRequest& request,
                     std::vector<int32_t>& prompt);

ApiError shutting_down();
ApiError engine_stall();

// Throws ApiError (429, 503) when the engine did not take a request.
void require_taken(SubmitResult result);

// The texts of prompts that are echoed, one per engine request.
std::vector<std::string> echoed_prompts(const Services& services, const CompletionRequest& request,
                                        const std::vector<std::shared_ptr<Request>>& requests);

}  // namespace dbrx
