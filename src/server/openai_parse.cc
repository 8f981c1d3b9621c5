#include "server/openai_parse.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "engine/validate.h"
#include "server/api_error.h"
#include "server/json_fields.h"
#include "server/openai_messages.h"
#include "server/tools.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinInt64 = std::numeric_limits<int64_t>::min();
constexpr size_t kMaxStopTokenIds = 256;
constexpr size_t kMaxBiases = 1024;
constexpr int32_t kMaxTopLogprobs = 20;

Prompt text_prompt(const json::value& value) {
  if (value.get_string().empty()) throw ApiError(400, "prompt: a prompt is empty", "prompt");
  return std::string(value.get_string());
}

constexpr const char* kPromptForms =
    "a string, a list of strings, a list of token ids or a list of lists of token ids";

std::vector<Prompt> parse_prompts(const JsonFields& fields, const ParseOptions& options) {
  const json::value* value = fields.find("prompt");
  if (!value) throw ApiError(400, "prompt: this field is required", "prompt", "missing_field");
  if (value->is_string()) return {text_prompt(*value)};
  if (!value->is_array()) bad_value("prompt", kPromptForms, *value);
  const json::array& list = value->get_array();
  if (list.empty()) throw ApiError(400, "prompt: the list is empty", "prompt");
  if (list.front().is_number()) return {parse_token_ids(list, "prompt", options.n_ids)};
  if (list.size() > static_cast<size_t>(options.max_prompts)) {
    throw ApiError(400,
                   "prompt: " + std::to_string(list.size()) + " prompts; one request takes " +
                       std::to_string(options.max_prompts) + " at most: send several",
                   "prompt");
  }
  std::vector<Prompt> prompts;
  for (const json::value& item : list) {
    if (item.kind() != list.front().kind()) bad_value("prompt", kPromptForms, *value);
    if (item.is_string()) {
      prompts.push_back(text_prompt(item));
    } else if (item.is_array() && !item.get_array().empty()) {
      prompts.push_back(parse_token_ids(item.get_array(), "prompt", options.n_ids));
    } else {
      bad_value("prompt", kPromptForms, *value);
    }
  }
  return prompts;
}

void read_number(const JsonFields& fields, const char* name, JsonFields::Range range, float& out) {
  const auto number = fields.number(name, range);
  if (!number) return;
  out = static_cast<float>(*number);
  // A positive double may be too small for a float.
  if (range.above_low) out = std::max(out, std::numeric_limits<float>::min());
}

SamplingParams parse_sampling(const JsonFields& fields, int32_t n_ids) {
  SamplingParams p = parse_basic_sampling(fields, /*max_temperature=*/2);
  read_number(fields, "min_p", {0, 1}, p.min_p);
  read_number(fields, "presence_penalty", {-2, 2}, p.presence_penalty);
  read_number(fields, "frequency_penalty", {-2, 2}, p.frequency_penalty);
  read_number(fields, "repetition_penalty", {0, 100, true}, p.repetition_penalty);
  const json::value* bias = fields.find("logit_bias");
  if (!bias) return p;
  if (!bias->is_object() || bias->get_object().size() > kMaxBiases) {
    bad_value("logit_bias",
              "an object of at most " + std::to_string(kMaxBiases) + " token ids and numbers",
              *bias);
  }
  for (const auto& [key, value] : bias->get_object()) {
    int32_t id = -1;
    std::from_chars(key.data(), key.data() + key.size(), id);
    // Written otherwise, "05", an id could stand there twice and get the sum of its biases.
    if (id < 0 || id >= n_ids || key != std::to_string(id)) {
      bad_value("logit_bias", "keys that are token ids from 0 to " + std::to_string(n_ids - 1),
                json::string(key));
    }
    JsonFields one(bias->get_object(), "logit_bias.");
    p.logit_bias.push_back({id, static_cast<float>(one.number(key, {-100, 100}).value_or(0))});
  }
  return p;
}

StopRules parse_stop_rules(const JsonFields& fields, int32_t n_ids) {
  StopRules rules;
  rules.stop = parse_stop_strings(fields, "stop");
  rules.min_tokens = fields.integer("min_tokens", 0, kMaxInt64).value_or(0);
  rules.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  rules.include_stop = fields.boolean("include_stop_str_in_output").value_or(false);
  if (const json::value* ids = fields.find("stop_token_ids")) {
    if (!ids->is_array() || ids->get_array().size() > kMaxStopTokenIds) {
      bad_value("stop_token_ids",
                "a list of at most " + std::to_string(kMaxStopTokenIds) + " token ids", *ids);
    }
    rules.stop_token_ids = parse_token_ids(ids->get_array(), "stop_token_ids", n_ids);
  }
  return rules;
}

std::optional<int32_t> parse_logprobs(Endpoint endpoint, const JsonFields& fields) {
  if (endpoint == Endpoint::completions) {
    auto n = fields.integer("logprobs", 0, kMaxTopLogprobs);
    return n ? std::optional(static_cast<int32_t>(*n)) : std::nullopt;
  }
  bool wanted = fields.boolean("logprobs").value_or(false);
  auto n = fields.integer("top_logprobs", 0, kMaxTopLogprobs);
  if (n.value_or(0) > 0 && !wanted) {
    throw ApiError(400, "top_logprobs: has an effect only with logprobs: true", "top_logprobs",
                   "invalid_value");
  }
  return wanted ? std::optional(static_cast<int32_t>(n.value_or(0))) : std::nullopt;
}

int32_t parse_n(const JsonFields& fields, size_t n_prompts, const ParseOptions& options) {
  const int64_t n = fields.integer("n", 1, options.max_choices).value_or(1);
  const int64_t n_all = n * static_cast<int64_t>(n_prompts);
  if (n_all > options.max_all_choices) {
    throw ApiError(400,
                   "n: " + std::to_string(n) + " choices for each of " + std::to_string(n_prompts) +
                       " prompts are " + std::to_string(n_all) + "; one request gets " +
                       std::to_string(options.max_all_choices) + " at most: send several",
                   "n", "invalid_value");
  }
  return static_cast<int32_t>(n);
}

// least: 0 where the prompt itself is part of the answer.
std::optional<int64_t> parse_max_tokens(const JsonFields& fields, int64_t least) {
  auto old_name = fields.integer("max_tokens", least, kMaxInt64);
  auto new_name = fields.integer("max_completion_tokens", least, kMaxInt64);
  if (old_name && new_name) return std::min(*old_name, *new_name);  // both are upper limits
  return old_name ? old_name : new_name;
}

void parse_prompt_logprobs(const JsonFields& fields, CompletionRequest& request) {
  if (request.endpoint == Endpoint::completions) {
    request.echo = fields.boolean("echo").value_or(false);
  }
  const auto n = fields.integer("prompt_logprobs", 0, kMaxTopLogprobs);
  if (!n) return;
  request.prompt_logprobs = static_cast<int32_t>(*n);
  if (!fields.boolean("stream").value_or(false)) return;
  throw ApiError(400, "prompt_logprobs: has no place in a stream; echo with logprobs does",
                 "prompt_logprobs", "invalid_value");
}

// What vLLM tells of tokens besides their logprobs.
void parse_token_details(const JsonFields& fields, CompletionRequest& request) {
  request.return_token_ids = fields.boolean("return_token_ids").value_or(false);
  request.return_routed_experts = fields.boolean("return_routed_experts").value_or(false);
  request.by_id = fields.boolean("return_tokens_as_token_ids").value_or(false);
  if (request.by_id && !request.top_logprobs) {
    throw ApiError(400, "return_tokens_as_token_ids: has an effect only with logprobs",
                   "return_tokens_as_token_ids", "invalid_value");
  }
}

// vLLM's truncate_prompt_tokens and Databricks' error_behavior.
void parse_truncation(const JsonFields& fields, CompletionRequest& request) {
  const std::string behavior = fields.string("error_behavior").value_or("error");
  if (behavior != "error" && behavior != "truncate") {
    bad_value("error_behavior", R"("error" or "truncate")", json::string(behavior));
  }
  if (behavior == "truncate") request.truncate_prompt = 0;
  const auto n = fields.integer("truncate_prompt_tokens", -1, kMaxInt64);
  if (n == 0) bad_value("truncate_prompt_tokens", "a number of tokens, or -1", json::value(0));
  if (n) request.truncate_prompt = *n == -1 ? 0 : *n;
}

// The first of the two names of one wish that is true.
std::string parse_safety(const JsonFields& fields) {
  std::string asking;
  for (const char* name : {"enable_safety_mode", "enable_safety_filter"}) {
    if (fields.boolean(name).value_or(false)) asking = name;
  }
  return asking;
}

void add_databricks_habits(const JsonFields& fields, CompletionRequest& request) {
  constexpr int32_t kMostChoices = 5;
  if (request.n > kMostChoices) {
    bad_value("n", "an integer from 1 to " + std::to_string(kMostChoices), *fields.find("n"));
  }
  request.continuous_usage = request.stream;
}

}  // namespace

SamplingParams parse_basic_sampling(const JsonFields& fields, double max_temperature) {
  SamplingParams p;
  read_number(fields, "temperature", {0, max_temperature}, p.temperature);
  read_number(fields, "top_p", {0, 1, true}, p.top_p);
  const auto top_k = fields.integer("top_k", -1, std::numeric_limits<int32_t>::max());
  p.top_k = static_cast<int32_t>(std::max<int64_t>(top_k.value_or(0), 0));  // -1: off, as elsewhere
  return p;
}

void parse_generation(const JsonFields& fields, const ParseOptions& options,
                      CompletionRequest& request) {
  request.sampling = parse_sampling(fields, options.n_ids);
  request.stop = parse_stop_rules(fields, options.n_ids);
  request.seed = fields.integer("seed", kMinInt64, kMaxInt64);
  request.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  request.priority =
      static_cast<int32_t>(fields
                               .integer("priority", std::numeric_limits<int32_t>::min(),
                                        std::numeric_limits<int32_t>::max())
                               .value_or(0));
  request.safety_field = parse_safety(fields);
}

std::vector<std::string> parse_stop_strings(const JsonFields& fields, const std::string& name) {
  const json::value* value = fields.find(name);
  if (!value) return {};
  const std::string expected = "a string or a list of at most " + std::to_string(kMaxStops) +
                               " strings, none of them empty or longer than " +
                               std::to_string(kMaxStopBytes) + " bytes";
  std::vector<std::string> stops;
  auto add = [&](const json::value& item) {
    const json::string* text = item.if_string();
    if (!text || text->empty() || text->size() > kMaxStopBytes) bad_value(name, expected, *value);
    stops.emplace_back(*text);
  };
  if (!value->is_array()) {
    add(*value);
    return stops;
  }
  if (value->get_array().size() > kMaxStops) bad_value(name, expected, *value);
  for (const json::value& item : value->get_array()) add(item);
  return stops;
}

void parse_stream(const JsonFields& fields, CompletionRequest& request) {
  request.stream = fields.boolean("stream").value_or(false);
  const json::value* value = fields.find("stream_options");
  if (!value) return;
  if (!value->is_object()) bad_value("stream_options", "an object", *value);
  if (!request.stream && !value->get_object().empty()) {
    throw ApiError(400, "stream_options: has an effect only with stream: true", "stream_options",
                   "invalid_value");
  }
  const JsonFields options(value->get_object(), "stream_options.");
  if (request.dialect == Dialect::responses) {  // which always have usage at their end
    note_unknown(options.object(), "stream_options.", {"include_obfuscation"}, request.ignored);
  } else {
    request.include_usage = options.boolean("include_usage").value_or(false);
    request.continuous_usage = options.boolean("continuous_usage_stats").value_or(false);
    note_unknown(options.object(), "stream_options.",
                 {"include_usage", "continuous_usage_stats", "include_obfuscation"},
                 request.ignored);
  }
  if (options.boolean("include_obfuscation").value_or(false)) {  // padding against eavesdroppers
    throw ApiError(400, "stream_options.include_obfuscation: not supported by this server",
                   "stream_options.include_obfuscation", "unsupported_parameter");
  }
}

void check_stops(const CompletionRequest& request, const std::string& stop_field) {
  if (!request.grammar) return;
  const auto refuse = [&](bool asked, const std::string& field, const std::string& why) {
    if (!asked) return;
    throw ApiError(400,
                   field + ": " + why + " the grammar of this answer (" + request.grammar->param +
                       "): leave it out",
                   field, "invalid_value");
  };
  refuse(!request.stop.stop.empty(), stop_field, "could cut the text before the end of");
  refuse(!request.stop.stop_token_ids.empty(), "stop_token_ids", "may be all that goes on in");
  refuse(request.stop.include_stop, "include_stop_str_in_output",
         "what stops a text is no part of");
}

CompletionRequest parse_completion_request(const CompletionRoute& route, std::string_view body,
                                           const ParseOptions& options) {
  const json::value document = parse_json_object(body);
  const json::object& object = document.get_object();
  JsonFields fields(object);
  const Endpoint endpoint =
      route.endpoint.value_or(fields.find("prompt") ? Endpoint::completions : Endpoint::chat);
  CompletionRequest request;
  request.endpoint = endpoint;
  request.dialect = route.dialect;
  request.ignored = check_parameters(parameter_table(), endpoint, object, options.strict_params);
  request.model = fields.string("model");
  if (!route.model.empty()) request.model = route.model;
  if (endpoint == Endpoint::chat) {
    request.messages = parse_messages(fields, options.max_context, request.ignored);
  } else {
    request.prompts = parse_prompts(fields, options);
    const bool is_raw = request.dialect != Dialect::databricks;
    request.wrap_prompts = !fields.boolean("use_raw_prompt").value_or(is_raw);
  }
  parse_prompt_logprobs(fields, request);
  request.max_tokens = parse_max_tokens(fields, request.echo ? 0 : 1);
  request.n = parse_n(fields, request.prompts.size(), options);
  parse_generation(fields, options, request);
  request.grammar = parse_structured_output(fields, request.ignored);
  if (endpoint == Endpoint::chat) parse_openai_tools(fields, ToolForm::nested, request);
  check_stops(request, "stop");
  request.top_logprobs = parse_logprobs(endpoint, fields);
  parse_token_details(fields, request);
  parse_stream(fields, request);
  parse_truncation(fields, request);
  if (route.dialect == Dialect::databricks) add_databricks_habits(fields, request);
  refuse_ignored(request.ignored, options.strict_params);
  return request;
}

}  // namespace dbrx
