#include "server/responses_parse.h"

#include <algorithm>
#include <array>
#include <limits>

#include "server/api_error.h"
#include "server/json_fields.h"
#include "server/responses_input.h"
#include "server/tools.h"
#include "text/utf8.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kMaxPairs = 16;
constexpr int64_t kMaxKey = 64;     // characters
constexpr int64_t kMaxValue = 512;  // characters
// Of what a stream repeats of its request: thrice, twice of it at once, while a client has to keep
// up with 2 MiB.
constexpr size_t kMaxEchoed = 512 << 10;

constexpr std::string_view kLogprobs = "message.output_text.logprobs";
// The others ask for members of items that this server never makes.
constexpr std::array<std::string_view, 9> kIncludable = {
    kLogprobs,
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "code_interpreter_call.files",
};

bool includes_logprobs(const JsonFields& fields) {
  const json::value* value = fields.find("include");
  if (!value) return false;
  if (!value->is_array()) bad_value("include", "a list of strings", *value);
  bool found = false;
  for (const json::value& item : value->get_array()) {
    const auto is_meant = [&](std::string_view name) { return item == json::value(to_json(name)); };
    if (std::none_of(kIncludable.begin(), kIncludable.end(), is_meant)) {
      bad_value("include", "\"" + std::string(kLogprobs) + "\"", item);
    }
    found |= is_meant(kLogprobs);
  }
  return found;
}

std::optional<int32_t> parse_logprobs(const JsonFields& fields, bool calls_tools) {
  constexpr int64_t kMaxTopLogprobs = 20;
  const bool wanted = includes_logprobs(fields);
  const int64_t n = fields.integer("top_logprobs", 0, kMaxTopLogprobs).value_or(0);
  if (n > 0 && !wanted) {
    throw ApiError(
        400, "top_logprobs: has an effect only with include: [\"" + std::string(kLogprobs) + "\"]",
        "top_logprobs", "invalid_value");
  }
  if (wanted && calls_tools) {
    throw ApiError(400,
                   "include: calls of functions have no logprobs; leave them out, or use "
                   "/v1/chat/completions",
                   "include", "unsupported_parameter");
  }
  return wanted ? std::optional(static_cast<int32_t>(n)) : std::nullopt;
}

void check_metadata(const JsonFields& fields) {
  const json::value* value = fields.find("metadata");
  if (!value) return;
  const std::string expected = "an object of at most " + std::to_string(kMaxPairs) +
                               " strings, keys of up to " + std::to_string(kMaxKey) +
                               " characters and values of up to " + std::to_string(kMaxValue);
  if (!value->is_object() || value->get_object().size() > kMaxPairs) {
    bad_value("metadata", expected, *value);
  }
  for (const auto& [key, member] : value->get_object()) {
    if (count_characters(key) > kMaxKey || !member.is_string() ||
        count_characters(member.get_string()) > kMaxValue) {
      bad_value("metadata", expected, *value);
    }
  }
}

// What all clients can rely on finding in a function.
json::array echoed_tools(const JsonFields& fields) {
  json::array tools;
  const json::value* value = fields.find("tools");
  if (!value) return tools;
  for (const json::value& item : value->get_array()) {
    json::object tool = item.get_object();
    tool.emplace("description", nullptr);
    tool.emplace("parameters", nullptr);
    tool["strict"] = true;  // whatever was asked, the arguments satisfy the schema
    tools.push_back(std::move(tool));
  }
  return tools;
}

json::object echoed_text(const JsonFields& fields) {
  const json::value* value = fields.find("text");
  json::object text = value ? value->get_object() : json::object();
  if (json::value& format = text["format"]; format.is_null()) format = {{"type", "text"}};
  if (json::value& verbosity = text["verbosity"]; verbosity.is_null()) verbosity = "medium";
  return text;
}

// An answer repeats its request, all of which is checked by now, or says what holds without it.
json::object echo(const JsonFields& fields) {
  json::object echoed;
  const auto repeat = [&](std::string_view name, const json::value& otherwise) {
    const json::value* value = fields.find(name);
    echoed[name] = value ? *value : otherwise;
  };
  repeat("instructions", nullptr);
  repeat("max_output_tokens", nullptr);
  repeat("temperature", 1);
  repeat("top_p", 1);
  repeat("presence_penalty", 0);
  repeat("frequency_penalty", 0);
  repeat("top_logprobs", 0);
  repeat("tool_choice", "auto");
  repeat("parallel_tool_calls", true);
  repeat("metadata", json::object());
  echoed["tools"] = echoed_tools(fields);
  echoed["text"] = echoed_text(fields);
  echoed["reasoning"] = json::object({{"effort", nullptr}, {"summary", nullptr}});
  echoed["previous_response_id"] = nullptr;
  echoed["background"] = false;
  echoed["store"] = false;
  echoed["truncation"] = "disabled";
  echoed["service_tier"] = "default";
  return echoed;
}

void check_echo(const CompletionRequest& request) {
  if (!request.stream) return;
  const size_t n_bytes = json::serialize(request.echoed).size();
  if (n_bytes <= kMaxEchoed) return;
  throw ApiError(400,
                 "stream: an answer repeats instructions, tools, text and metadata; in a stream "
                 "they may have " +
                     std::to_string(kMaxEchoed) + " bytes together, these have " +
                     std::to_string(n_bytes) + ": send instructions as a message of the input",
                 "stream", "invalid_value");
}

}  // namespace

CompletionRequest parse_responses_request(std::string_view body, const ParseOptions& options) {
  const json::value document = parse_json_object(body);
  const JsonFields fields(document.get_object());
  CompletionRequest request;
  request.dialect = Dialect::responses;
  request.names = {.messages = "input", .max_tokens = "max_output_tokens", .logprobs = "include"};
  request.ignored = check_parameters(responses_parameters(), Endpoint::chat, fields.object(),
                                     options.strict_params);
  request.model = fields.string("model");
  request.messages = parse_responses_input(fields, options.max_context, request.ignored);
  constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
  request.max_tokens = fields.integer("max_output_tokens", 1, kMaxInt64);
  parse_generation(fields, options, request);
  request.grammar = parse_responses_output(fields, request.ignored);
  parse_openai_tools(fields, ToolForm::flat, request);
  check_stops(request, "stop");
  request.top_logprobs = parse_logprobs(fields, request.calls_tools);
  check_metadata(fields);
  parse_stream(fields, request);
  request.echoed = echo(fields);
  check_echo(request);
  refuse_ignored(request.ignored, options.strict_params);
  return request;
}

}  // namespace dbrx
