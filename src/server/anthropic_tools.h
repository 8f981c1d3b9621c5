// Messages and functions as Anthropic's clients write them. Pure.
#pragma once

#include <string>
#include <vector>

#include "server/openai_parse.h"

namespace dbrx {

// The fields messages and system -> turns; blocks of text, tool_use and tool_result. Throws
// ApiError(400); adds unknown members to ignored.
std::vector<ChatMessage> parse_anthropic_messages(const JsonFields& fields, int64_t max_context,
                                                  std::vector<std::string>& ignored);

// The fields tools and tool_choice. Throws ApiError(400).
void parse_anthropic_tools(const JsonFields& fields, CompletionRequest& request);

}  // namespace dbrx
