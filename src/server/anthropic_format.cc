#include "server/anthropic_format.h"

#include "server/json_fields.h"

namespace dbrx {
namespace json = boost::json;
namespace {

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

// input: of the call; empty in a stream, where its text follows.
json::object call_block(std::string_view id, std::string_view name, json::value input) {
  json::object block;
  block["type"] = "tool_use";
  block["id"] = to_json(id);
  block["name"] = to_json(name);
  block["input"] = std::move(input);
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
void set_stop(json::object& object, const ChoiceEnd& end) {
  object["stop_sequence"] = nullptr;
  if (end.is_blocked()) {
    object["stop_reason"] = "refusal";
  } else if (end.reason == FinishReason::length) {
    object["stop_reason"] = "max_tokens";
  } else if (!end.stop_reason.empty()) {
    object["stop_reason"] = "stop_sequence";
    object["stop_sequence"] = to_json(end.stop_reason);
  } else {
    object["stop_reason"] = end.has_calls ? "tool_use" : "end_turn";
  }
}

// The blocks of a whole answer; one of text, if there is nothing at all.
json::array content_blocks(const ChoiceAnswer& choice) {
  json::array blocks;
  if (!choice.text.empty() || choice.calls.empty()) blocks.push_back(text_block(choice.text));
  for (const ToolCall& call : choice.calls) {
    boost::system::error_code cut_off;  // arguments are JSON, unless the answer was too long
    json::value input = json::parse(call.arguments, cut_off);
    blocks.push_back(call_block(call.id, call.name, cut_off ? json::object() : input));
  }
  return blocks;
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

std::string AnthropicAnswer::start_block(json::object block) {
  std::string events = stop_block();
  json::object start;
  start["index"] = n_blocks_++;
  start["content_block"] = std::move(block);
  return events + event("content_block_start", std::move(start));
}

std::string AnthropicAnswer::stop_block() {
  in_text_ = false;
  if (n_blocks_ == 0) return "";
  json::object stop;
  stop["index"] = n_blocks_ - 1;
  return event("content_block_stop", std::move(stop));
}

std::string AnthropicAnswer::delta(json::object delta) const {
  json::object object;
  object["index"] = n_blocks_ - 1;
  object["delta"] = std::move(delta);
  return event("content_block_delta", std::move(object));
}

std::string AnthropicAnswer::begin(int32_t, std::span<const int32_t>, ChunkUsage usage) {
  json::object start;
  start["message"] = message(*usage.usage);
  return event("message_start", std::move(start));
}

std::string AnthropicAnswer::piece(const AnswerPiece& piece, ChunkUsage) {
  std::string events;
  if (!piece.text.empty()) {
    if (!in_text_) events += start_block(text_block(""));
    in_text_ = true;
    events += delta({{"type", "text_delta"}, {"text", to_json(piece.text)}});
  }
  for (const ToolCallDelta& call : piece.calls) {
    if (!call.id.empty()) events += start_block(call_block(call.id, call.name, json::object()));
    if (call.arguments.empty()) continue;
    events += delta({{"type", "input_json_delta"}, {"partial_json", to_json(call.arguments)}});
  }
  return events;
}

std::string AnthropicAnswer::finish(int32_t, const ChoiceEnd& end, ChunkUsage usage) {
  std::string events;
  if (n_blocks_ == 0) events += start_block(text_block(""));
  events += stop_block();
  json::object delta;
  set_stop(delta, end);
  json::object object;
  object["delta"] = std::move(delta);
  object["usage"] = usage_object(*usage.usage);
  if (end.safety) object["safety_report"] = report_json(*end.safety);
  return events + event("message_delta", std::move(object));
}

std::string AnthropicAnswer::end(const Usage&, bool) {
  return event("message_stop", json::object());
}

std::string AnthropicAnswer::error(const ApiError& error) {
  return "event: error\ndata: " + error_json(error) + "\n\n";
}

std::string AnthropicAnswer::whole(const std::vector<ChoiceAnswer>& choices, const TokensWanted&,
                                   const Usage& usage, const LogprobsFormat&) {
  const ChoiceAnswer& choice = choices.front();
  json::object object = message(usage);
  object["content"] = content_blocks(choice);
  set_stop(object, choice.end);
  if (choice.end.safety) object["safety_report"] = report_json(*choice.end.safety);
  return json::serialize(object);
}

}  // namespace dbrx
