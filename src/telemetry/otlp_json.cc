#include "telemetry/otlp_json.h"

#include <algorithm>
#include <utility>

#include "telemetry/trace_context.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr int kKindInternal = 1;
constexpr int kKindServer = 2;
constexpr int kStatusError = 2;
constexpr size_t kMaxChoices = 16;  // that have spans of their own

class Attributes {
 public:
  void text(const char* key, const std::string& value) {
    if (!value.empty()) add(key, {{"stringValue", json::string(value)}});
  }
  // 64-bit integers are strings in OTLP's JSON.
  void number(const char* key, int64_t value) { add(key, {{"intValue", std::to_string(value)}}); }
  void real(const char* key, double value) { add(key, {{"doubleValue", value}}); }
  void flag(const char* key, bool value) { add(key, {{"boolValue", value}}); }
  void texts(const char* key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    json::array array;
    for (const std::string& value : values) {
      array.push_back(json::object{{"stringValue", json::string(value)}});
    }
    add(key, {{"arrayValue", json::object{{"values", std::move(array)}}}});
  }
  json::array take() { return std::move(list_); }

 private:
  void add(const char* key, json::object value) {
    list_.push_back(json::object{{"key", key}, {"value", std::move(value)}});
  }
  json::array list_;
};

std::string nanoseconds(const RequestRecord& record, RequestRecord::Time time) {
  using std::chrono::duration_cast, std::chrono::nanoseconds;
  const auto since_1970 = record.at.time_since_epoch() + (time - record.started);
  return std::to_string(duration_cast<nanoseconds>(since_1970).count());
}

const char* finish_name(std::optional<FinishReason> finish) {
  if (finish == FinishReason::stop) return "stop";
  if (finish == FinishReason::length) return "length";
  return finish == FinishReason::error ? "error" : "cancelled";
}

json::array request_attributes(const RequestRecord& record) {
  Attributes out;
  out.text("gen_ai.operation.name", record.is_chat ? "chat" : "text_completion");
  out.text("gen_ai.provider.name", "dbrx.cpp");
  out.text("gen_ai.request.model", record.model);
  const RequestParams& params = record.params;
  if (params.n != 1) out.number("gen_ai.request.choice.count", params.n);
  if (params.max_tokens) out.number("gen_ai.request.max_tokens", *params.max_tokens);
  if (params.sampling) {
    const auto real = [](float value) { return static_cast<double>(value); };
    out.real("gen_ai.request.temperature", real(params.sampling->temperature));
    out.real("gen_ai.request.top_p", real(params.sampling->top_p));
    if (params.sampling->top_k > 0) out.number("gen_ai.request.top_k", params.sampling->top_k);
    out.real("gen_ai.request.frequency_penalty", real(params.sampling->frequency_penalty));
    out.real("gen_ai.request.presence_penalty", real(params.sampling->presence_penalty));
  }
  if (params.seed) out.number("gen_ai.request.seed", static_cast<int64_t>(*params.seed));
  out.text("gen_ai.response.id", record.id);
  out.text("gen_ai.response.model", record.model);
  std::vector<std::string> reasons;
  for (const ChoiceRecord& choice : record.choices)
    reasons.emplace_back(finish_name(choice.finish));
  out.texts("gen_ai.response.finish_reasons", reasons);
  out.number("gen_ai.usage.input_tokens", record.usage.prompt_tokens);
  out.number("gen_ai.usage.output_tokens", record.usage.completion_tokens);
  out.number("gen_ai.usage.cache_read.input_tokens", record.usage.cached_tokens);
  out.text("http.request.method", "POST");
  out.text("http.route", record.route);
  out.number("http.response.status_code", record.status);
  if (!record.error.empty()) {
    out.text("error.type",
             record.error_code.empty() ? std::to_string(record.status) : record.error_code);
  }
  out.text("dbrx.key", record.key);
  out.text("dbrx.dialect", record.dialect);
  out.text("dbrx.request_id", record.request_id);
  out.flag("dbrx.stream", params.stream);
  return out.take();
}

json::object span(const std::string& trace_id, const std::string& parent_id,
                  const std::string& name, int kind) {
  json::object out;
  out["traceId"] = json::string(trace_id);
  out["spanId"] = json::string(random_trace_hex(16));
  if (!parent_id.empty()) out["parentSpanId"] = json::string(parent_id);
  out["name"] = json::string(name);
  out["kind"] = kind;
  return out;
}

// A stretch of a choice's life.
struct Part {
  const char* name;
  size_t choice;
  RequestRecord::Time from, to;
};

// Those of the first choices that came to their end.
std::vector<Part> parts_of(const RequestRecord& record) {
  std::vector<Part> parts;
  const auto add = [&](const Part& part) {
    const RequestRecord::Time never{};
    if (part.from != never && part.to != never && part.from <= part.to) parts.push_back(part);
  };
  for (size_t i = 0; i < std::min(record.choices.size(), kMaxChoices); ++i) {
    const EventTimes& times = record.choices[i].times;
    add({"queue", i, times.submitted, times.scheduled});
    add({"prefill", i, times.scheduled, times.first_token});
    add({"decode", i, times.first_token, times.now});
  }
  return parts;
}

json::object part_span(const RequestRecord& record, const json::object& whole, const Part& of) {
  const auto& [name, choice, from, to] = of;
  json::object part = span(std::string(whole.at("traceId").as_string()),
                           std::string(whole.at("spanId").as_string()), name, kKindInternal);
  part["startTimeUnixNano"] = nanoseconds(record, from);
  part["endTimeUnixNano"] = nanoseconds(record, to);
  Attributes attributes;
  attributes.number("dbrx.choice", static_cast<int64_t>(choice));
  if (to == record.choices[choice].times.now) {
    attributes.number("dbrx.completion_tokens", record.choices[choice].generated_tokens);
    attributes.number("dbrx.preemptions", record.choices[choice].preemptions);
  }
  part["attributes"] = attributes.take();
  return part;
}

}  // namespace

json::array request_spans(const RequestRecord& record) {
  const TraceParent& parent = record.parent;
  const std::string trace_id = parent.trace_id.empty() ? random_trace_hex(32) : parent.trace_id;
  std::string name = record.is_chat ? "chat" : "text_completion";
  if (!record.model.empty()) name += " " + record.model;
  json::object whole = span(trace_id, parent.span_id, name, kKindServer);
  whole["startTimeUnixNano"] = nanoseconds(record, record.started);
  whole["endTimeUnixNano"] = nanoseconds(record, std::max(record.started, record.ended));
  whole["attributes"] = request_attributes(record);
  // A client's mistake is no failure of the server's span, says the convention for HTTP.
  if (record.status >= 500) {
    whole["status"] = {{"code", kStatusError}, {"message", json::string(record.error)}};
  }
  json::array spans;
  for (const Part& part : parts_of(record)) spans.push_back(part_span(record, whole, part));
  spans.push_back(std::move(whole));
  return spans;
}

int64_t count_spans(const RequestRecord& record) { return std::ssize(parts_of(record)) + 1; }

std::string traces_body(const TraceResource& resource, json::array&& spans) {
  Attributes attributes;
  attributes.text("service.name", resource.service);
  attributes.text("service.version", resource.version);
  json::object scope_spans = {
      {"scope", {{"name", "dbrx"}, {"version", json::string(resource.version)}}},
      {"spans", std::move(spans)}};
  json::object resource_spans = {{"resource", {{"attributes", attributes.take()}}},
                                 {"scopeSpans", json::array{std::move(scope_spans)}}};
  return json::serialize(json::object{{"resourceSpans", json::array{std::move(resource_spans)}}});
}

}  // namespace dbrx
