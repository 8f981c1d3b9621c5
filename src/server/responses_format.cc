#include "server/responses_format.h"

#include "server/http_text.h"
#include "server/json_fields.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr size_t kIdDigits = 32;

// Why an answer is not complete; empty: it is.
std::string_view incomplete_reason(const ChoiceEnd& end) {
  if (end.is_blocked()) return "content_filter";
  return end.reason == FinishReason::length ? "max_output_tokens" : "";
}

// Of an answer, and of its last item: those before were completed.
std::string_view status_name(const ChoiceEnd& end) {
  return incomplete_reason(end).empty() ? "completed" : "incomplete";
}

json::object usage_json(const Usage& usage) {
  json::object object;
  object["input_tokens"] = usage.prompt_tokens;
  object["input_tokens_details"] =
      json::object({{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}});
  object["output_tokens"] = usage.completion_tokens;
  object["output_tokens_details"] = json::object({{"reasoning_tokens", 0}});
  object["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  return object;
}

}  // namespace

ResponsesAnswer::Item ResponsesAnswer::new_message() {
  return {.id = "msg_" + random_hex(kIdDigits)};
}

ResponsesAnswer::Item ResponsesAnswer::new_call(std::string call_id, std::string name) {
  return {.id = "fc_" + random_hex(kIdDigits),
          .is_call = true,
          .call = {.id = std::move(call_id), .name = std::move(name)}};
}

json::object ResponsesAnswer::part(std::string_view text) {
  json::object object;
  object["type"] = "output_text";
  object["text"] = to_json(text);
  object["annotations"] = json::array();
  object["logprobs"] = json::array();
  return object;
}

// Without what is written piece by piece.
json::object ResponsesAnswer::item_head(const Item& item, std::string_view status) {
  json::object object;
  object["id"] = to_json(item.id);
  object["type"] = item.is_call ? "function_call" : "message";
  object["status"] = to_json(status);
  if (item.is_call) {
    object["call_id"] = to_json(item.call.id);
    object["name"] = to_json(item.call.name);
    object["arguments"] = "";
  } else {
    object["role"] = "assistant";
    object["content"] = json::array();
  }
  return object;
}

json::object ResponsesAnswer::item_json(const Item& item, std::string_view status) {
  json::object object = item_head(item, status);
  if (item.is_call) {
    object["arguments"] = to_json(item.call.arguments);
  } else {
    object["content"] = json::array({part(item.text)});
  }
  return object;
}

json::object ResponsesAnswer::response(std::string_view status) const {
  json::object object;
  object["id"] = to_json(head_.id);
  object["object"] = "response";
  object["created_at"] = head_.created;
  object["status"] = to_json(status);
  object["model"] = to_json(head_.model);
  object["system_fingerprint"] = to_json(head_.system_fingerprint);
  object["error"] = nullptr;
  object["incomplete_details"] = nullptr;
  object["output"] = json::array();
  object["usage"] = nullptr;
  for (const auto& [name, value] : head_.echoed) object[name] = value;
  return object;
}

// Without the output.
json::object ResponsesAnswer::ended(const ChoiceEnd& end, const Usage& usage) const {
  json::object object = response(status_name(end));
  const std::string_view reason = incomplete_reason(end);
  if (!reason.empty()) {
    object["incomplete_details"] = json::object({{"reason", to_json(reason)}});
  }
  object["usage"] = usage_json(usage);
  object["seed"] = static_cast<int64_t>(end.seed);
  object["stop_reason"] = end.stop_reason.empty() ? json::value() : to_json(end.stop_reason);
  if (end.safety) object["safety_report"] = report_json(*end.safety);
  return object;
}

std::string ResponsesAnswer::event(std::string_view type, json::object object,
                                   std::string_view logprobs) {
  object["type"] = to_json(type);
  object["sequence_number"] = n_events_++;
  std::string data = json::serialize(object);
  if (!logprobs.empty()) add_field(data, "logprobs", logprobs);
  return "event: " + std::string(type) + "\ndata: " + data + "\n\n";
}

// About what is in the open item.
std::string ResponsesAnswer::item_event(std::string_view type, json::object object,
                                        std::string_view logprobs) {
  object["item_id"] = to_json(open_->id);
  object["output_index"] = output_.size();
  if (!open_->is_call) object["content_index"] = 0;
  return event(type, std::move(object), logprobs);
}

std::string ResponsesAnswer::open(Item item) {
  std::string events = close("completed");
  open_ = std::move(item);
  json::object added;
  added["output_index"] = output_.size();
  added["item"] = item_head(*open_, "in_progress");
  events += event("response.output_item.added", std::move(added));
  if (!open_->is_call) events += item_event("response.content_part.added", {{"part", part("")}});
  return events;
}

std::string ResponsesAnswer::close(std::string_view status) {
  if (!open_) return "";
  std::string events;
  if (open_->is_call) {
    json::object done;
    done["name"] = to_json(open_->call.name);
    done["arguments"] = to_json(open_->call.arguments);
    events += item_event("response.function_call_arguments.done", std::move(done));
  } else {
    events += item_event("response.output_text.done", {{"text", to_json(open_->text)}}, "[]");
    events += item_event("response.content_part.done", {{"part", part(open_->text)}});
  }
  json::object done;
  done["output_index"] = output_.size();
  done["item"] = item_json(*open_, status);
  output_.push_back(done.at("item"));
  open_.reset();
  return events + event("response.output_item.done", std::move(done));
}

std::string ResponsesAnswer::begin(int32_t, std::span<const int32_t>, ChunkUsage) {
  const json::object started = response("in_progress");
  std::string events = event("response.created", {{"response", started}});
  events += event("response.in_progress", {{"response", started}});
  return events;
}

std::string ResponsesAnswer::piece(const AnswerPiece& piece, ChunkUsage) {
  std::string events;
  if (!piece.text.empty() || piece.calls.empty()) {
    if (!open_) events += open(new_message());
    open_->text += piece.text;
    events += item_event("response.output_text.delta", {{"delta", to_json(piece.text)}},
                         piece.logprobs == "null" ? "[]" : piece.logprobs);
  }
  for (const ToolCallDelta& call : piece.calls) {
    if (!call.id.empty()) events += open(new_call(call.id, call.name));
    if (call.arguments.empty()) continue;
    open_->call.arguments += call.arguments;
    events +=
        item_event("response.function_call_arguments.delta", {{"delta", to_json(call.arguments)}});
  }
  return events;
}

std::string ResponsesAnswer::finish(int32_t, const ChoiceEnd& end, ChunkUsage) {
  end_ = end;
  std::string events;
  if (!open_) events += open(new_message());  // nothing was said
  return events + close(status_name(end));
}

std::string ResponsesAnswer::end(const Usage& total, bool) {
  json::object object = ended(*end_, total);
  object["output"] = output_;
  const std::string type = "response." + std::string(status_name(*end_));
  return event(type, {{"response", std::move(object)}});
}

std::string ResponsesAnswer::error(const ApiError& error) {
  if (open_) output_.push_back(item_json(*open_, "incomplete"));
  json::object object = response("failed");
  object["error"] = json::object({{"code", "server_error"}, {"message", error.what()}});
  object["output"] = output_;
  return event("response.failed", {{"response", std::move(object)}});
}

std::string ResponsesAnswer::whole(const std::vector<ChoiceAnswer>& choices,
                                   const TokensWanted& wanted, const Usage& usage,
                                   const LogprobsFormat& format) {
  const ChoiceAnswer& choice = choices.front();
  const std::string_view last = status_name(choice.end);
  std::string output;
  if (!choice.text.empty() || choice.calls.empty()) {
    json::object object = part(choice.text);
    object.erase("logprobs");
    std::string text = json::serialize(object);
    add_field(text, "logprobs", wanted.logprobs ? format.list(choice.tokens) : "[]");
    object = item_head(new_message(), choice.calls.empty() ? last : "completed");
    object.erase("content");
    output = json::serialize(object);
    add_field(output, "content", "[" + text + "]");
  }
  for (const ToolCall& call : choice.calls) {
    Item item = new_call(call.id, call.name);
    item.call.arguments = call.arguments;
    if (!output.empty()) output += ",";
    output += json::serialize(item_json(item, &call == &choice.calls.back() ? last : "completed"));
  }
  json::object object = ended(choice.end, usage);
  object.erase("output");
  std::string answer = json::serialize(object);
  add_field(answer, "output", "[" + output + "]");
  return answer;
}

}  // namespace dbrx
