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

// The grammar that the request asks for, if it was compiled before; else null. Throws ApiError when
// it was refused, or when this server has no grammars.
std::shared_ptr<const Grammar> kept_grammar(const Services& services,
                                            const CompletionRequest& request);

// Compiles it, which may take seconds. Throws ApiError(400) when it is refused.
std::shared_ptr<const Grammar> compile_grammar(const Services& services,
                                               const CompletionRequest& request);

// One request per prompt, without ids and sinks. grammar: null when the answer is free. Throws
// ApiError(400): a prompt or its answer does not fit the context, the whole answer could be too
// large.
std::vector<std::shared_ptr<Request>> make_engine_requests(
    const Services& services, const CompletionRequest& request,
    const std::shared_ptr<const Grammar>& grammar, uint64_t seed);

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
