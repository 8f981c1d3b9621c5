#include "server/openai_messages.h"

#include "server/api_error.h"
#include "server/openai_params.h"

namespace dbrx {
namespace json = boost::json;
namespace {

std::string parse_role(const JsonFields& message) {
  const std::string expected = "\"system\", \"developer\", \"user\" or \"assistant\"";
  const json::value* value = message.find("role");
  const std::string name = message.full_name("role");
  if (!value) throw ApiError(400, name + ": this field is required", name, "missing_field");
  if (!value->is_string()) bad_value(name, expected, *value);
  std::string role(value->get_string());
  if (role == "developer") return "system";  // the newer name of the same thing
  if (role == "system" || role == "user" || role == "assistant") return role;
  if (role == "tool" || role == "function") {
    throw ApiError(400,
                   name + ": messages of the role " + role + " are not supported by this server",
                   name, "unsupported_parameter");
  }
  bad_value(name, expected, *value);
}

// Whether a field that is not understood says nothing.
bool is_empty(const json::value& value) {
  return value.is_null() || (value.is_array() && value.get_array().empty()) ||
         (value.is_string() && value.get_string().empty());
}

std::string parse_part(const json::value& value, const std::string& name,
                       std::vector<std::string>& ignored) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_object()) bad_value(name, "{\"type\": \"text\", \"text\": ...}", value);
  JsonFields part(value.get_object(), name + ".");
  std::optional<std::string> type = part.string("type");
  if (type && *type != "text") {
    throw ApiError(400,
                   name + ": the model reads text only; parts of the type " +
                       excerpt(json::string(*type)) + " are not supported",
                   name, "unsupported_parameter");
  }
  std::optional<std::string> text = part.string("text");
  if (!type || !text) bad_value(name, "{\"type\": \"text\", \"text\": ...}", value);
  for (const auto& [key, member] : value.get_object()) {
    if (key == "type" || key == "text" || is_empty(member)) continue;
    add_ignored(ignored, "messages[].content[]." + std::string(key));
  }
  return *text;
}

// Fields that clients send back from an earlier answer. Empty ones mean nothing; a tool call or a
// sound would be lost.
void check_other_fields(const json::object& object, const JsonFields& message,
                        std::vector<std::string>& ignored) {
  for (const auto& [key, value] : object) {
    if (key == "role" || key == "content" || is_empty(value)) continue;
    if (key == "tool_calls" || key == "function_call" || key == "audio" || key == "tool_call_id") {
      std::string name = message.full_name(key);
      throw ApiError(400, name + ": not supported by this server", name, "unsupported_parameter");
    }
    add_ignored(ignored, "messages[]." + std::string(key));
  }
}

}  // namespace

std::string parse_message_content(const JsonFields& message, const std::string& role,
                                  std::vector<std::string>& ignored) {
  const json::value* value = message.find("content");
  const std::string name = message.full_name("content");
  if (!value) {
    if (role == "assistant") return "";
    throw ApiError(400, name + ": this field is required", name, "missing_field");
  }
  if (value->is_string()) return std::string(value->get_string());
  if (!value->is_array()) bad_value(name, "a string or a list of text parts", *value);
  std::string text;
  size_t i = 0;
  for (const json::value& part : value->get_array()) {
    if (i > 0) text.push_back('\n');
    text += parse_part(part, name + "[" + std::to_string(i++) + "]", ignored);
  }
  return text;
}

std::vector<ChatMessage> parse_messages(const JsonFields& fields, int64_t max_context,
                                        std::vector<std::string>& ignored) {
  const json::value* value = fields.find("messages");
  if (!value) throw ApiError(400, "messages: this field is required", "messages", "missing_field");
  if (!value->is_array() || value->get_array().empty()) {
    bad_value("messages", "a list of at least one message", *value);
  }
  const size_t n_messages = value->get_array().size();
  if (n_messages > static_cast<size_t>(max_context)) {
    throw ApiError(400,
                   "the context of this model is " + std::to_string(max_context) +
                       " tokens; there are " + std::to_string(n_messages) +
                       " messages, each of at least one token: send fewer",
                   "messages", "context_length_exceeded");
  }
  std::vector<ChatMessage> messages;
  for (const json::value& item : value->get_array()) {
    std::string name = "messages[" + std::to_string(messages.size()) + "]";
    if (!item.is_object()) bad_value(name, "an object with role and content", item);
    JsonFields message(item.get_object(), name + ".");
    std::string role = parse_role(message);
    std::string content = parse_message_content(message, role, ignored);
    check_other_fields(item.get_object(), message, ignored);
    messages.push_back({std::move(role), std::move(content)});
  }
  return messages;
}

}  // namespace dbrx
