#include "server/responses_input.h"

#include <optional>
#include <utility>

#include "server/api_error.h"
#include "server/openai_messages.h"
#include "server/openai_params.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr const char* kItems =
    R"({"role": ..., "content": ...} or an object of the type message, function_call or )"
    "function_call_output";
constexpr const char* kCall =
    R"({"type": "function_call", "call_id": ..., "name": ..., "arguments": "{...}"})";
constexpr const char* kPart = R"({"type": "input_text" | "output_text" | "text", "text": ...})";

std::string parse_part(const json::value& value, const std::string& name, const std::string& prefix,
                       std::vector<std::string>& ignored) {
  if (!value.is_object()) bad_value(name, kPart, value);
  const JsonFields part(value.get_object(), name + ".");
  const std::string type = part.string("type").value_or("");
  if (!type.empty() && type != "input_text" && type != "output_text" && type != "text") {
    throw ApiError(400,
                   name + ": the model reads text only; parts of the type " +
                       excerpt(json::string(type)) + " are not supported",
                   name, "unsupported_parameter");
  }
  const std::optional<std::string> text = part.string("text");
  if (type.empty() || !text) bad_value(name, kPart, value);
  note_unknown(part.object(), prefix, {"type", "text", "annotations", "logprobs"}, ignored);
  return *text;
}

// The field `name` of an item: a string, or parts, which are joined by newlines.
std::string parse_text(const JsonFields& item, const std::string& name,
                       std::vector<std::string>& ignored) {
  const json::value* value = item.find(name);
  const std::string param = item.full_name(name);
  if (!value) throw ApiError(400, param + ": this field is required", param, "missing_field");
  if (value->is_string()) return std::string(value->get_string());
  if (!value->is_array()) bad_value(param, "a string or a list of text parts", *value);
  std::string text;
  size_t i = 0;
  for (const json::value& part : value->get_array()) {
    if (i > 0) text.push_back('\n');
    text += parse_part(part, param + "[" + std::to_string(i++) + "]", "input[]." + name + "[].",
                       ignored);
  }
  return text;
}

// What an earlier answer was made of stands in items of its own: a message, and each call. To the
// model they are one message, so calls wait for the next item that is none.
class ItemReader {
 public:
  explicit ItemReader(std::vector<std::string>& ignored) : ignored_(ignored) {}

  void add(std::string role, std::string content) {
    flush();
    if (role != "assistant") return conversation_.add({std::move(role), std::move(content)});
    answer_ = std::move(content);
  }

  void read(const json::value& value, const std::string& name) {
    if (!value.is_object()) bad_value(name, kItems, value);
    const JsonFields item(value.get_object(), name + ".");
    const bool is_message = item.find("role") && !item.find("type");
    const std::string type = item.string("type").value_or(is_message ? "message" : "");
    if (type == "message") {
      read_message(item);
    } else if (type == "function_call") {
      read_call(item, name);
    } else if (type == "function_call_output") {
      read_result(item);
    } else if (type.empty()) {
      bad_value(name, kItems, value);
    } else {
      throw ApiError(400,
                     name + ": items of the type " + excerpt(json::string(type)) +
                         " are not supported by this server; leave them out",
                     name, "unsupported_parameter");
    }
  }

  std::vector<ChatMessage> finish() {
    flush();
    return conversation_.take();
  }

 private:
  void read_message(const JsonFields& item) {
    std::string role = item.string("role").value_or("");
    if (role.empty()) {
      const std::string param = item.full_name("role");
      throw ApiError(400, param + ": this field is required", param, "missing_field");
    }
    if (role == "developer") role = "system";  // the newer name of the same thing
    if (role != "system" && role != "user" && role != "assistant") {
      bad_value(item.full_name("role"), R"("system", "developer", "user" or "assistant")",
                json::string(role));
    }
    note_unknown(item.object(), "input[].", {"type", "role", "content", "id", "status"}, ignored_);
    add(std::move(role), parse_text(item, "content", ignored_));
  }

  void read_call(const JsonFields& item, const std::string& name) {
    note_unknown(item.object(), "input[].",
                 {"type", "id", "call_id", "name", "arguments", "status"}, ignored_);
    const std::optional<std::string> id = item.string("call_id");
    const std::optional<std::string> called = item.string("name");
    if (!id || !called) bad_value(name, kCall, item.object());
    if (!answer_) answer_ = "";
    calls_.push_back({.id = *id,
                      .name = *called,
                      .arguments = parse_arguments(item.string("arguments").value_or("{}"),
                                                   item.full_name("arguments"))});
  }

  void read_result(const JsonFields& item) {
    flush();
    note_unknown(item.object(), "input[].", {"type", "id", "call_id", "output", "status"},
                 ignored_);
    conversation_.add_result(item.string("call_id").value_or(""),
                             parse_text(item, "output", ignored_), item.full_name("call_id"));
  }

  void flush() {
    if (answer_) conversation_.add({"assistant", *answer_}, std::move(calls_));
    answer_.reset();
    calls_.clear();
  }

  Conversation conversation_;
  std::vector<std::string>& ignored_;
  std::optional<std::string> answer_;  // the assistant's text, whose calls may follow
  std::vector<ToolCall> calls_;
};

}  // namespace

std::vector<ChatMessage> parse_responses_input(const JsonFields& fields, int64_t max_context,
                                               std::vector<std::string>& ignored) {
  ItemReader reader(ignored);
  if (auto instructions = fields.string("instructions")) reader.add("system", *instructions);
  const json::value* input = fields.find("input");
  if (input && input->is_string()) {
    reader.add("user", std::string(input->get_string()));
    return reader.finish();
  }
  if (input && !input->is_array()) bad_value("input", "a string or a list of items", *input);
  size_t i = 0;
  for (const json::value& item : message_list(fields, max_context, "input")) {
    reader.read(item, "input[" + std::to_string(i++) + "]");
  }
  return reader.finish();
}

}  // namespace dbrx
