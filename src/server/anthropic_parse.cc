#include "server/anthropic_parse.h"

#include <algorithm>
#include <limits>

#include "server/api_error.h"
#include "server/json_fields.h"
#include "server/openai_messages.h"

namespace dbrx {
namespace json = boost::json;
namespace {

// NOLINTBEGIN(readability-identifier-naming): columns of a table
constexpr auto U = Support::used;
constexpr auto R = Support::refused;
constexpr auto N = Support::no_effect;
// NOLINTEND(readability-identifier-naming)

constexpr Parameter kTable[] = {
    {"model", U, U},
    {"messages", U, U},
    {"system", U, U},
    {"max_tokens", U, U},
    {"stop_sequences", U, U},
    {"stream", U, U},
    {"temperature", U, U},
    {"top_p", U, U},
    {"top_k", U, U},
    {"metadata", N, N},
    {"tools", R, R},
    {"tool_choice", R, R, R"([{"type": "none"}, {"type": "auto"}])"},
    {"thinking", R, R, R"([{"type": "disabled"}])"},
    {"service_tier", R, R, R"(["auto", "standard_only"])"},
    {"container", R, R},
    {"mcp_servers", R, R},
    {"context_management", R, R},
    {"output_config", R, R},
    {"output_format", R, R},
};

// The conversation, with the system prompt as its first message.
std::vector<ChatMessage> parse_conversation(const json::object& object, const JsonFields& fields,
                                            const ParseOptions& options,
                                            std::vector<std::string>& ignored) {
  std::vector<ChatMessage> messages = parse_messages(fields, options.max_context, ignored);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "user" || messages[i].role == "assistant") continue;
    const std::string name = "messages[" + std::to_string(i) + "].role";
    bad_value(name, R"("user" or "assistant"; the system prompt stands in "system")",
              json::string(messages[i].role));
  }
  if (messages.back().role == "assistant") {
    throw ApiError(400,
                   "messages: the last one must be the user's: this server does not go on in "
                   "an answer that was begun",
                   "messages", "unsupported_parameter");
  }
  const json::value* system = fields.find("system");
  if (!system) return messages;
  // Text or blocks of text, as the content of a message has it.
  json::object wrapped;
  wrapped["content"] = object.at("system");
  std::string text = parse_message_content(JsonFields(wrapped, "system."), "system", ignored);
  messages.insert(messages.begin(), {.role = "system", .content = std::move(text)});
  return messages;
}

std::vector<std::string> parse_stops(const JsonFields& fields) {
  const json::value* value = fields.find("stop_sequences");
  if (value && !value->is_array()) bad_value("stop_sequences", "a list of strings", *value);
  return parse_stop_strings(fields, "stop_sequences");
}

}  // namespace

std::span<const Parameter> anthropic_parameters() { return kTable; }

CompletionRequest parse_anthropic_request(std::string_view body, const ParseOptions& options,
                                          bool count_only) {
  const json::value document = parse_json_object(body);
  const json::object& object = document.get_object();
  const JsonFields fields(object);
  CompletionRequest request;
  request.dialect = Dialect::anthropic;
  request.ignored = check_parameters(kTable, Endpoint::chat, object, options.strict_params);
  request.model = fields.string("model");
  request.messages = parse_conversation(object, fields, options, request.ignored);
  constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
  request.max_tokens = fields.integer("max_tokens", 1, kMaxInt64);
  if (!request.max_tokens && !count_only) {
    throw ApiError(400, "max_tokens: this field is required", "max_tokens", "missing_field");
  }
  request.stop.stop = parse_stops(fields);
  request.stream = fields.boolean("stream").value_or(false);
  request.continuous_usage = request.stream;  // its first and last events have usage
  const auto number = [&](const char* name, JsonFields::Range range, float& out) {
    if (const auto value = fields.number(name, range)) out = static_cast<float>(*value);
  };
  number("temperature", {0, 1}, request.sampling.temperature);
  number("top_p", {0, 1, true}, request.sampling.top_p);
  request.sampling.top_p = std::max(request.sampling.top_p, std::numeric_limits<float>::min());
  request.sampling.top_k = static_cast<int32_t>(
      fields.integer("top_k", 0, std::numeric_limits<int32_t>::max()).value_or(0));
  refuse_ignored(request.ignored, options.strict_params);
  return request;
}

}  // namespace dbrx
