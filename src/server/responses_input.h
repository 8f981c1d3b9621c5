// The fields `input` and `instructions` of OpenAI's /v1/responses -> roles and texts. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/json_fields.h"
#include "text/chat_template.h"

namespace dbrx {

// A text, or a list of items: messages, function_call and function_call_output. The instructions
// are a system message before all of them. Throws ApiError(400). max_context: tokens; there can't
// be more items. Adds unknown members of items to ignored, as "input[].member".
std::vector<ChatMessage> parse_responses_input(const JsonFields& fields, int64_t max_context,
                                               std::vector<std::string>& ignored);

}  // namespace dbrx
