#include "server/anthropic_parse.h"

#include <algorithm>
#include <limits>

#include "server/anthropic_tools.h"
#include "server/api_error.h"
#include "server/json_fields.h"

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
    {"tools", U, U},
    {"tool_choice", U, U},
    {"thinking", R, R, R"([{"type": "disabled"}])"},
    {"service_tier", R, R, R"(["auto", "standard_only"])"},
    {"container", R, R},
    {"mcp_servers", R, R},
    {"context_management", R, R},
    {"output_config", R, R},
    {"output_format", R, R},
};

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
  request.messages = parse_anthropic_messages(fields, options.max_context, request.ignored);
  parse_anthropic_tools(fields, request);
  constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
  request.max_tokens = fields.integer("max_tokens", 1, kMaxInt64);
  if (!request.max_tokens && !count_only) {
    throw ApiError(400, "max_tokens: this field is required", "max_tokens", "missing_field");
  }
  request.stop.stop = parse_stops(fields);
  check_stops(request, "stop_sequences");
  request.stream = fields.boolean("stream").value_or(false);
  request.continuous_usage = request.stream;  // its first and last events have usage
  request.sampling = parse_basic_sampling(fields, /*max_temperature=*/1);
  refuse_ignored(request.ignored, options.strict_params);
  return request;
}

}  // namespace dbrx
