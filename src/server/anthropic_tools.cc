#include "server/anthropic_tools.h"

#include <utility>

#include "server/api_error.h"
#include "server/openai_messages.h"
#include "server/tools.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr const char* kBlocks = R"(a block {"type": "text" | "tool_use" | "tool_result", ...})";
constexpr std::string_view kCacheControl = "cache_control";  // prompts are cached in any case

// One message of a list of blocks, in the order that the model reads them: text, then calls;
// results, then text.
class BlockReader {
 public:
  BlockReader(Conversation& conversation, std::string role, std::vector<std::string>& ignored)
      : conversation_(conversation), role_(std::move(role)), ignored_(ignored) {}

  void read(const json::array& blocks, const std::string& name) {
    size_t i = 0;
    for (const json::value& item : blocks) {
      const std::string where = name + "[" + std::to_string(i++) + "]";
      if (!item.is_object()) bad_value(where, kBlocks, item);
      read_block(item.get_object(), where);
    }
    if (role_ == "assistant") {
      conversation_.add({role_, text_}, std::move(calls_));
    } else if (n_results_ == 0) {
      conversation_.add({role_, text_});
    } else if (!text_.empty()) {
      conversation_.add_to_results(text_);
    }
  }

 private:
  void read_block(const json::object& object, const std::string& where) {
    const JsonFields block(object, where + ".");
    const std::string type = block.string("type").value_or("");
    if (type == "text") {
      const std::optional<std::string> text = block.string("text");
      if (!text) bad_value(where, R"({"type": "text", "text": ...})", object);
      note_unknown(object, "messages[].content[].", {"type", "text", "citations", kCacheControl},
                   ignored_);
      text_ += (text_.empty() ? "" : "\n") + *text;
    } else if (type == "tool_use" && role_ == "assistant") {
      read_call(object, block, where);
    } else if (type == "tool_result" && role_ == "user") {
      read_result(object, block);
    } else if (type.empty()) {
      bad_value(where, kBlocks, object);
    } else {
      throw ApiError(400,
                     where + ": blocks of the type " + excerpt(json::string(type)) +
                         " are not supported in a message of the role " + role_,
                     where, "unsupported_parameter");
    }
  }

  void read_call(const json::object& object, const JsonFields& block, const std::string& where) {
    note_unknown(object, "messages[].content[].",
                 {"type", "id", "name", "input", "caller", kCacheControl}, ignored_);
    const json::value* input = block.find("input");
    const std::optional<std::string> id = block.string("id");
    const std::optional<std::string> name = block.string("name");
    if (!id || !name || !input || !input->is_object()) {
      bad_value(where, R"({"type": "tool_use", "id": ..., "name": ..., "input": {...}})", object);
    }
    calls_.push_back({.id = *id, .name = *name, .arguments = prompt_json(*input)});
  }

  void read_result(const json::object& object, const JsonFields& block) {
    note_unknown(object, "messages[].content[].",
                 {"type", "tool_use_id", "content", "is_error", kCacheControl}, ignored_);
    std::string content;
    if (block.find("content")) content = parse_message_content(block, "user", ignored_);
    if (block.boolean("is_error").value_or(false)) content = "error: " + content;
    conversation_.add_result(block.string("tool_use_id").value_or(""), content,
                             block.full_name("tool_use_id"));
    ++n_results_;
  }

  Conversation& conversation_;
  std::string role_;
  std::vector<std::string>& ignored_;
  std::string text_;
  std::vector<ToolCall> calls_;
  int n_results_ = 0;
};

std::string parse_role(const JsonFields& message) {
  const std::string role = message.string("role").value_or("");
  if (role == "user" || role == "assistant") return role;
  bad_value(message.full_name("role"),
            R"("user" or "assistant"; the system prompt stands in "system")", json::string(role));
}

Tool parse_tool(const json::value& value, const std::string& param,
                std::vector<std::string>& ignored) {
  const char* expected = R"({"name": ..., "description": ..., "input_schema": {...}})";
  if (!value.is_object()) bad_value(param, expected, value);
  const JsonFields fields(value.get_object(), param + ".");
  const std::string type = fields.string("type").value_or("custom");
  if (type != "custom") {
    throw ApiError(400, param + ".type: this server has no built-in tool " + type, param + ".type",
                   "unsupported_parameter");
  }
  note_unknown(value.get_object(), "tools[].",
               {"type", "name", "description", "input_schema", "strict", kCacheControl}, ignored);
  fields.boolean("strict");  // either way the arguments satisfy the schema
  if (!fields.find("input_schema")) bad_value(param, expected, value);
  return {
      .name = fields.string("name").value_or(""),
      .description = fields.string("description"),
      .parameters = parse_tool_parameters(fields.find("input_schema"), param + ".input_schema")};
}

ToolChoice parse_choice(const json::value& value) {
  using Use = ToolChoice::Use;
  const char* expected = R"({"type": "auto" | "any" | "none"} or {"type": "tool", "name": ...})";
  if (!value.is_object()) bad_value("tool_choice", expected, value);
  const JsonFields fields(value.get_object(), "tool_choice.");
  const std::string type = fields.string("type").value_or("");
  ToolChoice choice = {.parallel = !fields.boolean("disable_parallel_tool_use").value_or(false)};
  if (type == "none") {
    choice.use = Use::none;
  } else if (type == "any") {
    choice.use = Use::required;
  } else if (type == "tool") {
    choice.use = Use::required;
    choice.parallel = false;
    choice.name = fields.string("name").value_or("");
    if (choice.name.empty()) bad_value("tool_choice", expected, value);
  } else if (type != "auto") {
    bad_value("tool_choice", expected, value);
  }
  return choice;
}

}  // namespace

std::vector<ChatMessage> parse_anthropic_messages(const JsonFields& fields, int64_t max_context,
                                                  std::vector<std::string>& ignored) {
  Conversation conversation;
  if (const json::value* system = fields.find("system")) {
    // Text or blocks of text, as the content of a message has it.
    json::object wrapped;
    wrapped["content"] = *system;
    conversation.add(
        {.role = "system",
         .content = parse_message_content(JsonFields(wrapped, "system."), "system", ignored)});
  }
  std::string role;
  size_t i = 0;
  for (const json::value& item : message_list(fields, max_context)) {
    const std::string name = "messages[" + std::to_string(i++) + "]";
    if (!item.is_object()) bad_value(name, "an object with role and content", item);
    const JsonFields message(item.get_object(), name + ".");
    role = parse_role(message);
    note_unknown(item.get_object(), "messages[].", {"role", "content", kCacheControl}, ignored);
    const json::value* content = message.find("content");
    if (content && content->is_array()) {
      BlockReader(conversation, role, ignored).read(content->get_array(), name + ".content");
    } else {
      conversation.add({role, parse_message_content(message, role, ignored)});
    }
  }
  if (role == "assistant") {
    throw ApiError(400,
                   "messages: the last one must be the user's: this server does not go on in "
                   "an answer that was begun",
                   "messages", "unsupported_parameter");
  }
  return conversation.take();
}

void parse_anthropic_tools(const JsonFields& fields, CompletionRequest& request) {
  std::vector<Tool> tools;
  if (const json::value* value = fields.find("tools")) {
    if (!value->is_array()) bad_value("tools", "a list of tools", *value);
    for (const json::value& item : value->get_array()) {
      const std::string param = "tools[" + std::to_string(tools.size()) + "]";
      Tool tool = parse_tool(item, param, request.ignored);
      check_tool(tool, tools, param + ".name");
      tools.push_back(std::move(tool));
    }
  }
  const json::value* choice = fields.find("tool_choice");
  add_tools(request, tools, choice ? parse_choice(*choice) : ToolChoice());
}

}  // namespace dbrx
