#include "server/tools.h"

#include <algorithm>

#include "server/api_error.h"
#include "server/tool_calls.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kMaxTools = 128;
constexpr size_t kMaxNameBytes = 64;
constexpr const char* kIntroduction =
    "Call a function if it helps. Write each call as "
    R"(<tool_call>{"name": ..., "arguments": {...}}</tool_call>.)";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

// What the system message says about the functions.
std::string system_text(const std::vector<Tool>& tools) {
  std::string text(kIntroduction);
  text += "\n<tools>\n";
  for (const Tool& tool : tools) {
    json::object object;
    object["name"] = tool.name;
    if (tool.description) object["description"] = *tool.description;
    object["parameters"] = tool.parameters;
    text += escape_marks_of_json(prompt_json(object)) + "\n";
  }
  return text + "</tools>";
}

GrammarSource call_grammar(const std::vector<Tool>& tools, const ToolChoice& choice) {
  json::array functions;
  for (const Tool& tool : tools) {
    if (!choice.name.empty() && choice.name != tool.name) continue;
    json::object function;
    function["name"] = tool.name;
    function["parameters"] = tool.parameters;
    functions.push_back(std::move(function));
  }
  json::object source;
  source["functions"] = std::move(functions);
  source["required"] = choice.use == ToolChoice::Use::required;
  source["parallel"] = choice.parallel;
  return {.kind = GrammarKind::calls, .text = json::serialize(source), .param = "tools"};
}

// The members of a function, or of a choice of one: where the form has them. `expected` is the
// message if they are not there.
JsonFields function_fields(const json::value& value, const std::string& param, ToolForm form,
                           const std::string& expected, std::vector<std::string>& ignored) {
  if (!value.is_object()) bad_value(param, expected, value);
  JsonFields outer(value.get_object(), param + ".");
  const std::string type = outer.string("type").value_or("");
  if (!type.empty() && type != "function") {
    throw ApiError(400,
                   param + ": the type " + excerpt(json::string(type)) +
                       " is not supported by this server, whose tools are functions of the client",
                   param, "unsupported_parameter");
  }
  if (type.empty()) bad_value(param, expected, value);
  if (form == ToolForm::flat) return outer;
  const json::value* function = outer.find("function");
  if (!function || !function->is_object()) bad_value(param, expected, value);
  const std::string list = param.substr(0, param.find('['));
  note_unknown(outer.object(), list + (list == param ? "." : "[]."), {"type", "function"}, ignored);
  return JsonFields(function->get_object(), param + ".function.");
}

Tool parse_tool(const json::value& value, const std::string& param, ToolForm form,
                std::vector<std::string>& ignored) {
  const bool flat = form == ToolForm::flat;
  const JsonFields fields = function_fields(
      value, param, form,
      flat ? R"({"type": "function", "name": ..., "parameters": ...})"
           : R"({"type": "function", "function": {"name": ..., "parameters": ...}})",
      ignored);
  fields.boolean("strict");  // either way the arguments satisfy the schema
  note_unknown(fields.object(), flat ? "tools[]." : "tools[].function.",
               {"name", "description", "parameters", "strict", flat ? "type" : "name"}, ignored);
  return {.name = fields.string("name").value_or(""),
          .description = fields.string("description"),
          .parameters =
              parse_tool_parameters(fields.find("parameters"), fields.full_name("parameters"))};
}

std::vector<Tool> parse_tools(const JsonFields& fields, ToolForm form,
                              std::vector<std::string>& ignored) {
  const json::value* value = fields.find("tools");
  if (!value) return {};
  if (!value->is_array() || value->get_array().size() > kMaxTools) {
    bad_value("tools", "a list of at most " + std::to_string(kMaxTools) + " functions", *value);
  }
  std::vector<Tool> tools;
  for (const json::value& item : value->get_array()) {
    const std::string param = "tools[" + std::to_string(tools.size()) + "]";
    Tool tool = parse_tool(item, param, form, ignored);
    check_tool(tool, tools, param + (form == ToolForm::flat ? ".name" : ".function.name"));
    tools.push_back(std::move(tool));
  }
  return tools;
}

ToolChoice parse_tool_choice(const JsonFields& fields, ToolForm form,
                             std::vector<std::string>& ignored) {
  using Use = ToolChoice::Use;
  ToolChoice choice = {.parallel = fields.boolean("parallel_tool_calls").value_or(true)};
  const json::value* value = fields.find("tool_choice");
  if (!value) return choice;
  const std::string expected =
      std::string(R"("none", "auto", "required" or {"type": "function", )") +
      (form == ToolForm::flat ? R"("name": ...})" : R"("function": {"name": ...}})");
  if (const json::string* word = value->if_string()) {
    if (*word == "none") choice.use = Use::none;
    if (*word == "required") choice.use = Use::required;
    if (*word != "none" && *word != "required" && *word != "auto") {
      bad_value("tool_choice", expected, *value);
    }
    return choice;
  }
  const JsonFields function = function_fields(*value, "tool_choice", form, expected, ignored);
  const bool flat = form == ToolForm::flat;
  note_unknown(function.object(), flat ? "tool_choice." : "tool_choice.function.",
               {"name", flat ? "type" : "name"}, ignored);
  choice.name = function.string("name").value_or("");
  if (choice.name.empty()) bad_value("tool_choice", expected, *value);
  choice.use = Use::required;
  choice.parallel = false;
  return choice;
}

}  // namespace

void check_tool(const Tool& tool, const std::vector<Tool>& tools, const std::string& param) {
  const bool valid = !tool.name.empty() && tool.name.size() <= kMaxNameBytes &&
                     std::all_of(tool.name.begin(), tool.name.end(), is_name_character);
  if (!valid) {
    bad_value(param, "1 to 64 letters, digits, underscores and hyphens", json::string(tool.name));
  }
  for (const Tool& other : tools) {
    if (other.name != tool.name) continue;
    throw ApiError(400, param + ": two functions have the name \"" + tool.name + "\"", param,
                   "invalid_value");
  }
}

json::object parse_tool_parameters(const json::value* value, const std::string& param) {
  json::object schema;
  if (value) {
    if (!value->is_object()) bad_value(param, "a JSON schema of an object", *value);
    schema = value->get_object();
  }
  const json::value& type = schema.emplace("type", "object").first->value();
  if (type != json::value("object")) bad_value(param + ".type", "\"object\"", type);
  schema.emplace("properties", json::object());
  return schema;
}

void add_tools(CompletionRequest& request, const std::vector<Tool>& tools,
               const ToolChoice& choice) {
  const auto is_chosen = [&](const Tool& tool) { return tool.name == choice.name; };
  if (!choice.name.empty() && std::none_of(tools.begin(), tools.end(), is_chosen)) {
    throw ApiError(400, "tool_choice: there is no function \"" + choice.name + "\" in tools",
                   "tool_choice", "invalid_value");
  }
  if (choice.use == ToolChoice::Use::required && tools.empty()) {
    throw ApiError(400, "tool_choice: asks for a call, and tools has no function", "tool_choice",
                   "invalid_value");
  }
  if (tools.empty() || choice.use == ToolChoice::Use::none) return;
  if (request.grammar) {
    throw ApiError(400,
                   request.grammar->param +
                       ": the answer is bound by tools already; send tool_choice: \"none\" or "
                       "leave one of them out",
                   request.grammar->param, "invalid_value");
  }
  request.grammar = call_grammar(tools, choice);
  request.calls_tools = true;
  std::vector<ChatMessage>& messages = request.messages;
  if (messages.front().role != "system") {
    messages.insert(messages.begin(), {.role = "system", .content = system_text(tools)});
  } else if (messages.front().content.empty()) {
    messages.front().content = system_text(tools);
  } else {
    messages.front().content += "\n\n" + system_text(tools);
  }
}

void parse_openai_tools(const JsonFields& fields, ToolForm form, CompletionRequest& request) {
  const std::vector<Tool> tools = parse_tools(fields, form, request.ignored);
  add_tools(request, tools, parse_tool_choice(fields, form, request.ignored));
}

std::string prompt_json(const json::value& value) {
  std::string text;
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, member] : *object) {
      text += (text.empty() ? "" : ", ") + json::serialize(json::string(key)) + ": ";
      text += prompt_json(member);
    }
    return "{" + text + "}";
  }
  if (const json::array* array = value.if_array()) {
    for (const json::value& item : *array) text += (text.empty() ? "" : ", ") + prompt_json(item);
    return "[" + text + "]";
  }
  // 0.1, where Boost.JSON writes 1E-1.
  if (value.is_double()) return plain_number(value.get_double());
  return json::serialize(value);
}

}  // namespace dbrx
