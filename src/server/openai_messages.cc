#include "server/openai_messages.h"

#include <algorithm>

#include "server/api_error.h"

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

std::string parse_part(const json::value& value, const std::string& name) {
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
  return *text;
}

std::string parse_content(const JsonFields& message, const std::string& role) {
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
    text += parse_part(part, name + "[" + std::to_string(i++) + "]");
  }
  return text;
}

// Fields that clients send back from an earlier answer. Empty ones mean nothing; a tool call or a
// sound would be lost.
void check_other_fields(const json::object& object, const JsonFields& message,
                        std::vector<std::string>& ignored) {
  for (const auto& [key, value] : object) {
    if (key == "role" || key == "content") continue;
    bool empty = value.is_null() || (value.is_array() && value.get_array().empty()) ||
                 (value.is_string() && value.get_string().empty());
    if (empty) continue;
    if (key == "tool_calls" || key == "function_call" || key == "audio" || key == "tool_call_id") {
      std::string name = message.full_name(key);
      throw ApiError(400, name + ": not supported by this server", name, "unsupported_parameter");
    }
    std::string name = "messages[]." + std::string(key);
    if (std::find(ignored.begin(), ignored.end(), name) == ignored.end()) ignored.push_back(name);
  }
}

}  // namespace

std::vector<ChatMessage> parse_messages(const JsonFields& fields,
                                        std::vector<std::string>& ignored) {
  const json::value* value = fields.find("messages");
  if (!value) throw ApiError(400, "messages: this field is required", "messages", "missing_field");
  if (!value->is_array() || value->get_array().empty()) {
    bad_value("messages", "a list of at least one message", *value);
  }
  std::vector<ChatMessage> messages;
  for (const json::value& item : value->get_array()) {
    std::string name = "messages[" + std::to_string(messages.size()) + "]";
    if (!item.is_object()) bad_value(name, "an object with role and content", item);
    JsonFields message(item.get_object(), name + ".");
    std::string role = parse_role(message);
    std::string content = parse_content(message, role);
    check_other_fields(item.get_object(), message, ignored);
    messages.push_back({std::move(role), std::move(content)});
  }
  return messages;
}

}  // namespace dbrx
