// The field `messages` of a chat request -> roles and texts.
#pragma once

#include <string>
#include <vector>

#include "server/json_fields.h"
#include "text/chat_template.h"

namespace dbrx {

// Throws ApiError(400). Adds unknown fields of messages to ignored, as "messages[].field".
std::vector<ChatMessage> parse_messages(const JsonFields& fields,
                                        std::vector<std::string>& ignored);

}  // namespace dbrx
