// The field `messages` of a chat request -> roles and texts.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/json_fields.h"
#include "server/tool_calls.h"
#include "text/chat_template.h"

namespace dbrx {

// The turns that a chat template knows: calls of functions are text of the assistant, and the
// results of one answer's calls are one message of the user, in the order of the calls
// (docs/api.md, "Function calls"). No text that a client sends becomes a call or a result by what
// it says, but for what it says that the assistant said.
class Conversation {
 public:
  // arguments of calls: as prompt_json writes them.
  void add(ChatMessage message, std::vector<ToolCall> calls = {});
  // Throws ApiError(400) naming param if the message before, results left out, has no such call, or
  // there was a result of it.
  void add_result(const std::string& call_id, const std::string& content, const std::string& param);

  // More text for the message of the last results.
  void add_to_results(const std::string& text);

  std::vector<ChatMessage> take();

 private:
  void write_results();

  struct LastCall {
    size_t index;  // in its message
    bool has_result = false;
  };
  std::vector<ChatMessage> messages_;
  std::map<std::string, LastCall> calls_;  // by id, of the last message that is no result
  std::map<size_t, std::string> results_;  // by call, not written yet
};

// Throws ApiError(400). max_context: tokens; there can't be more messages. Adds unknown fields of
// messages to ignored, as "messages[].field" and "messages[].content[].field".
std::vector<ChatMessage> parse_messages(const JsonFields& fields, int64_t max_context,
                                        std::vector<std::string>& ignored);

// The list itself: at least one message, none of them read yet. Throws ApiError(400).
const boost::json::array& message_list(const JsonFields& fields, int64_t max_context,
                                       const std::string& name = "messages");

// The arguments of an earlier call: JSON text of an object, as prompt_json writes it. Throws
// ApiError(400) naming param.
std::string parse_arguments(const std::string& text, const std::string& param);

// The field `content` of one of them: a string, or text parts, which are joined by newlines.
std::string parse_message_content(const JsonFields& message, const std::string& role,
                                  std::vector<std::string>& ignored);

}  // namespace dbrx
