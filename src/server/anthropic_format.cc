#include "server/anthropic_format.h"

namespace dbrx {
namespace json = boost::json;
namespace {

json::string to_json(std::string_view text) { return json::string(json::string_view(text)); }

// The object's type names the event, too.
std::string event(std::string_view type, json::object object) {
  object["type"] = to_json(type);
  return "event: " + std::string(type) + "\ndata: " + json::serialize(object) + "\n\n";
}

json::object text_block(std::string_view text) {
  json::object block;
  block["type"] = "text";
  block["text"] = to_json(text);
  return block;
}

json::object usage_object(const Usage& usage) {
  json::object object;
  object["input_tokens"] = usage.prompt_tokens - usage.cached_tokens;
  object["cache_read_input_tokens"] = usage.cached_tokens;
  object["cache_creation_input_tokens"] = 0;
  object["output_tokens"] = usage.completion_tokens;
  return object;
}

// Fills in why the choice ended.
void set_stop(json::object& object, FinishReason reason, std::string_view stop_reason) {
  object["stop_sequence"] = nullptr;
  if (reason == FinishReason::length) {
    object["stop_reason"] = "max_tokens";
  } else if (stop_reason.empty()) {
    object["stop_reason"] = "end_turn";
  } else {
    object["stop_reason"] = "stop_sequence";
    object["stop_sequence"] = to_json(stop_reason);
  }
}

}  // namespace

json::object AnthropicAnswer::message(const Usage& usage) const {
  json::object object;
  object["id"] = to_json(head_.id);
  object["type"] = "message";
  object["role"] = "assistant";
  object["model"] = to_json(head_.model);
  object["content"] = json::array();
  object["stop_reason"] = nullptr;
  object["stop_sequence"] = nullptr;
  object["usage"] = usage_object(usage);
  return object;
}

std::string AnthropicAnswer::begin(int32_t, ChunkUsage usage) const {
  json::object start;
  start["message"] = message(*usage.usage);
  json::object block;
  block["index"] = 0;
  block["content_block"] = text_block("");
  return event("message_start", std::move(start)) + event("content_block_start", std::move(block));
}

std::string AnthropicAnswer::text(int32_t, std::string_view text, std::string_view,
                                  ChunkUsage) const {
  json::object delta;
  delta["type"] = "text_delta";
  delta["text"] = to_json(text);
  json::object object;
  object["index"] = 0;
  object["delta"] = std::move(delta);
  return event("content_block_delta", std::move(object));
}

std::string AnthropicAnswer::finish(int32_t, const ChoiceEnd& end, ChunkUsage usage) const {
  json::object block;
  block["index"] = 0;
  json::object delta;
  set_stop(delta, end.reason, end.stop_reason);
  json::object object;
  object["delta"] = std::move(delta);
  object["usage"] = usage_object(*usage.usage);
  return event("content_block_stop", std::move(block)) + event("message_delta", std::move(object));
}

std::string AnthropicAnswer::end(const Usage&, bool) const {
  return event("message_stop", json::object());
}

std::string AnthropicAnswer::error(const ApiError& error) const {
  return "event: error\n" + error_event(error_json(error));
}

std::string AnthropicAnswer::whole(const std::vector<ChoiceAnswer>& choices, const LogprobsWanted&,
                                   const Usage& usage, const LogprobsFormat&) const {
  const ChoiceAnswer& choice = choices.front();
  json::object object = message(usage);
  object["content"] = json::array({text_block(choice.text)});
  set_stop(object, choice.finish, choice.stop_reason);
  return json::serialize(object);
}

}  // namespace dbrx
