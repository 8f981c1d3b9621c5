#include "server/openai_messages.h"

#include <algorithm>
#include <utility>

#include "server/api_error.h"
#include "server/openai_params.h"
#include "server/tool_calls.h"
#include "server/tools.h"

namespace dbrx {
namespace json = boost::json;
namespace {

std::string parse_role(const JsonFields& message) {
  const std::string expected = R"("system", "developer", "user", "assistant" or "tool")";
  const json::value* value = message.find("role");
  const std::string name = message.full_name("role");
  if (!value) throw ApiError(400, name + ": this field is required", name, "missing_field");
  if (!value->is_string()) bad_value(name, expected, *value);
  std::string role(value->get_string());
  if (role == "developer") return "system";  // the newer name of the same thing
  if (role == "system" || role == "user" || role == "assistant" || role == "tool") return role;
  if (role == "function") {
    throw ApiError(400,
                   name +
                       ": messages of the role function are not supported by this server; use "
                       "the role tool",
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
  if (!value.is_object()) bad_value(name, R"({"type": "text", "text": ...})", value);
  JsonFields part(value.get_object(), name + ".");
  std::optional<std::string> type = part.string("type");
  if (type && *type != "text") {
    throw ApiError(400,
                   name + ": the model reads text only; parts of the type " +
                       excerpt(json::string(*type)) + " are not supported",
                   name, "unsupported_parameter");
  }
  std::optional<std::string> text = part.string("text");
  if (!type || !text) bad_value(name, R"({"type": "text", "text": ...})", value);
  for (const auto& [key, member] : value.get_object()) {
    if (key == "type" || key == "text" || is_empty(member)) continue;
    add_ignored(ignored, "messages[].content[]." + std::string(key));
  }
  return *text;
}

// Fields that clients send back from an earlier answer. Empty ones mean nothing; a call at a place
// where none is read, or a sound, would be lost.
void check_other_fields(const json::object& object, const JsonFields& message,
                        const std::string& role, std::vector<std::string>& ignored) {
  for (const auto& [key, value] : object) {
    if (key == "role" || key == "content" || is_empty(value)) continue;
    if (key == "tool_calls" && role == "assistant") continue;
    if (key == "tool_call_id" && role == "tool") continue;
    if (key == "tool_calls" || key == "function_call" || key == "audio" || key == "tool_call_id") {
      std::string name = message.full_name(key);
      throw ApiError(400, name + ": not supported by this server in a message of the role " + role,
                     name, "unsupported_parameter");
    }
    add_ignored(ignored, "messages[]." + std::string(key));
  }
}

ToolCall parse_call(const json::value& value, const std::string& name,
                    std::vector<std::string>& ignored) {
  const char* expected =
      R"({"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}})";
  if (!value.is_object()) bad_value(name, expected, value);
  const JsonFields fields(value.get_object(), name + ".");
  const json::value* function = fields.find("function");
  if (fields.string("type").value_or("function") != "function" || !function ||
      !function->is_object()) {
    bad_value(name, expected, value);
  }
  const JsonFields inner(function->get_object(), name + ".function.");
  note_unknown(fields.object(), "messages[].tool_calls[].", {"id", "type", "function", "index"},
               ignored);
  note_unknown(inner.object(), "messages[].tool_calls[].function.", {"name", "arguments"}, ignored);
  const std::optional<std::string> called = inner.string("name");
  if (!called) bad_value(name, expected, value);
  return {.id = fields.string("id").value_or(""),
          .name = *called,
          .arguments = parse_arguments(inner.string("arguments").value_or("{}"),
                                       inner.full_name("arguments"))};
}

std::vector<ToolCall> parse_calls(const JsonFields& message, std::vector<std::string>& ignored) {
  const json::value* value = message.find("tool_calls");
  const std::string name = message.full_name("tool_calls");
  if (!value) return {};
  if (!value->is_array()) bad_value(name, "a list of calls", *value);
  std::vector<ToolCall> calls;
  for (const json::value& item : value->get_array()) {
    calls.push_back(parse_call(item, name + "[" + std::to_string(calls.size()) + "]", ignored));
  }
  return calls;
}

}  // namespace

void Conversation::add(ChatMessage message, std::vector<ToolCall> calls) {
  if (message.role != "assistant") message.content = escape_marks(std::move(message.content));
  for (const ToolCall& call : calls) {
    if (!message.content.empty()) message.content.push_back('\n');
    message.content += call_text(call.name, escape_marks_of_json(call.arguments));
  }
  write_results();
  messages_.push_back(std::move(message));
  calls_.clear();
  for (size_t i = 0; i < calls.size(); ++i) calls_.emplace(std::move(calls[i].id), LastCall{i});
}

void Conversation::add_result(const std::string& call_id, const std::string& content,
                              const std::string& param) {
  const auto found = calls_.find(call_id);
  if (found == calls_.end()) {
    throw ApiError(400, param + ": the assistant's message before has no call with this id", param,
                   "invalid_value");
  }
  if (std::exchange(found->second.has_result, true)) {
    throw ApiError(400, param + ": there is a result of the call with this id already", param,
                   "invalid_value");
  }
  results_[found->second.index] =
      std::string(kResultBegin).append(escape_marks(content)).append(kResultEnd);
}

// One message of the user, in the order of the calls.
void Conversation::write_results() {
  if (results_.empty()) return;
  std::string text;
  for (const auto& [call, result] : results_) text += (text.empty() ? "" : "\n") + result;
  messages_.push_back({.role = "user", .content = std::move(text)});
  results_.clear();
}

void Conversation::add_to_results(const std::string& text) {
  write_results();
  messages_.back().content += "\n" + escape_marks(text);
}

std::vector<ChatMessage> Conversation::take() {
  write_results();
  return std::move(messages_);
}

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

std::string parse_arguments(const std::string& text, const std::string& param) {
  if (text.empty()) return "{}";  // as some clients write it for functions without parameters
  json::value parsed;
  try {
    parsed = parse_json(text);
  } catch (const ApiError&) {
    bad_value(param, "a JSON object as text", json::string(text));
  }
  if (!parsed.is_object()) bad_value(param, "a JSON object as text", json::string(text));
  return prompt_json(parsed);
}

const json::array& message_list(const JsonFields& fields, int64_t max_context,
                                const std::string& name) {
  const json::value* value = fields.find(name);
  if (!value) throw ApiError(400, name + ": this field is required", name, "missing_field");
  if (!value->is_array() || value->get_array().empty()) {
    bad_value(name, "a list of at least one message", *value);
  }
  const size_t n_messages = value->get_array().size();
  if (n_messages > static_cast<size_t>(max_context)) {
    throw ApiError(400,
                   "the context of this model is " + std::to_string(max_context) +
                       " tokens; there are " + std::to_string(n_messages) +
                       " messages, each of at least one token: send fewer",
                   name, "context_length_exceeded");
  }
  return value->get_array();
}

std::vector<ChatMessage> parse_messages(const JsonFields& fields, int64_t max_context,
                                        std::vector<std::string>& ignored) {
  Conversation conversation;
  size_t i = 0;
  for (const json::value& item : message_list(fields, max_context)) {
    const std::string name = "messages[" + std::to_string(i++) + "]";
    if (!item.is_object()) bad_value(name, "an object with role and content", item);
    JsonFields message(item.get_object(), name + ".");
    std::string role = parse_role(message);
    std::string content = parse_message_content(message, role, ignored);
    check_other_fields(item.get_object(), message, role, ignored);
    if (role == "tool") {
      conversation.add_result(message.string("tool_call_id").value_or(""), content,
                              message.full_name("tool_call_id"));
    } else {
      conversation.add({std::move(role), std::move(content)}, parse_calls(message, ignored));
    }
  }
  return conversation.take();
}

}  // namespace dbrx
