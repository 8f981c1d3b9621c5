// The field `messages` of a chat request -> roles and texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/json_fields.h"
#include "text/chat_template.h"

namespace dbrx {

// Throws ApiError(400). max_context: tokens; there can't be more messages. Adds unknown fields of
// messages to ignored, as "messages[].field" and "messages[].content[].field".
std::vector<ChatMessage> parse_messages(const JsonFields& fields, int64_t max_context,
                                        std::vector<std::string>& ignored);

// The field `content` of one of them: a string, or text parts, which are joined by newlines.
std::string parse_message_content(const JsonFields& message, const std::string& role,
                                  std::vector<std::string>& ignored);

}  // namespace dbrx
