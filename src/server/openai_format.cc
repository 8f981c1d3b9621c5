#include "server/openai_format.h"

#include "server/json_fields.h"

namespace dbrx {
namespace json = boost::json;
namespace {

constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

json::value text_or_null(std::string_view text) {
  if (text.empty()) return nullptr;
  return to_json(text);
}

std::string_view finish_name(const ChoiceEnd& end) {
  if (end.is_blocked()) return "content_filter";
  if (end.reason == FinishReason::length) return "length";
  return end.has_calls ? "tool_calls" : "stop";
}

std::string id_list(std::span<const int32_t> ids) {
  std::string list = "[";
  for (const int32_t id : ids) list.append(list.size() > 1 ? "," : "").append(std::to_string(id));
  return list + "]";
}

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

json::object choice_json(int32_t index, json::value finish_reason) {
  json::object choice;
  choice["index"] = index;
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

// The text of a choice with its logprobs.
std::string choice_text(const json::object& choice, std::string_view logprobs = "null") {
  std::string text = json::serialize(choice);
  add_field(text, "logprobs", logprobs);
  return text;
}

// The event of a chunk, a JSON object, with this one choice.
std::string chunk_event(std::string chunk, const std::string& choice,
                        std::span<const int32_t> prompt_ids = {}) {
  if (!prompt_ids.empty()) add_field(chunk, "prompt_token_ids", id_list(prompt_ids));
  add_field(chunk, "choices", "[" + choice + "]");
  return "data: " + chunk + "\n\n";
}

json::object usage_json(const Usage& usage) {
  json::object object;
  object["prompt_tokens"] = usage.prompt_tokens;
  object["completion_tokens"] = usage.completion_tokens;
  object["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  json::object details;
  details["cached_tokens"] = usage.cached_tokens;
  object["prompt_tokens_details"] = std::move(details);
  return object;
}

// What an answer tells of a prompt: of a chat's in the answer, of others in each choice.
void add_prompt_fields(std::string& object, const ChoiceAnswer& choice, const TokensWanted& wanted,
                       const LogprobsFormat& format) {
  if (wanted.prompt_logprobs) {
    add_field(object, "prompt_logprobs", format.prompt(choice.prompt, *wanted.prompt_logprobs));
  }
  if (wanted.ids) add_field(object, "prompt_token_ids", id_list(choice.prompt_ids));
}

json::object call_json(std::string_view id, std::string_view name, std::string_view arguments) {
  json::object function;
  if (!name.empty()) function["name"] = to_json(name);
  function["arguments"] = to_json(arguments);
  json::object call;
  if (!id.empty()) {
    call["id"] = to_json(id);
    call["type"] = "function";
  }
  call["function"] = std::move(function);
  return call;
}

json::object delta_json(const AnswerPiece& piece) {
  json::object delta;
  if (!piece.text.empty() || piece.calls.empty()) delta["content"] = to_json(piece.text);
  if (piece.calls.empty()) return delta;
  json::array& calls = delta["tool_calls"].emplace_array();
  for (const ToolCallDelta& call : piece.calls) {
    json::object object = call_json(call.id, call.name, call.arguments);
    object["index"] = call.index;
    calls.push_back(std::move(object));
  }
  return delta;
}

json::object message_json(const ChoiceAnswer& choice) {
  json::object message;
  message["role"] = "assistant";
  message["content"] = choice.calls.empty() ? to_json(choice.text) : text_or_null(choice.text);
  if (choice.calls.empty()) return message;
  json::array& calls = message["tool_calls"].emplace_array();
  for (const ToolCall& call : choice.calls) {
    calls.push_back(call_json(call.id, call.name, call.arguments));
  }
  return message;
}

}  // namespace

json::object OpenAiAnswer::envelope(std::string_view object_name) const {
  json::object object;
  object["id"] = to_json(head_.id);
  object["object"] = to_json(object_name);
  object["created"] = head_.created;
  object["model"] = to_json(head_.model);
  object["system_fingerprint"] = text_or_null(head_.system_fingerprint);
  return object;
}

// There is one for each token, so what they have in common is written once.
std::string OpenAiAnswer::chunk(ChunkUsage usage) {
  if (chunk_head_.empty()) {
    chunk_head_ =
        json::serialize(envelope(is_chat() ? "chat.completion.chunk" : "text_completion"));
  }
  std::string text = chunk_head_;
  if (usage.usage) {
    add_field(text, "usage", json::serialize(usage_json(*usage.usage)));
  } else if (usage.mention) {
    add_field(text, "usage", "null");
  }
  return text;
}

// The choices of a chat have one prompt: its ids are in the first of all chunks.
std::string OpenAiAnswer::begin(int32_t choice, std::span<const int32_t> prompt_ids,
                                ChunkUsage usage) {
  if (!is_chat()) return "";
  json::object entry = choice_json(choice, nullptr);
  json::object delta;
  delta["role"] = "assistant";
  delta["content"] = "";
  entry["delta"] = std::move(delta);
  if (choice > 0) prompt_ids = {};
  return chunk_event(chunk(usage), choice_text(entry), prompt_ids);
}

std::string OpenAiAnswer::piece(const AnswerPiece& piece, ChunkUsage usage) {
  std::string text = R"({"index":)" + std::to_string(piece.choice) + R"(,"finish_reason":null})";
  if (is_chat()) {
    add_field(text, "delta", json::serialize(delta_json(piece)));
  } else {
    add_field(text, "text", json::serialize(to_json(piece.text)));
  }
  add_field(text, "logprobs", piece.logprobs);
  if (!is_chat() && !piece.prompt_ids.empty()) {
    add_field(text, "prompt_token_ids", id_list(piece.prompt_ids));
  }
  if (!piece.token_ids.empty()) add_field(text, "token_ids", id_list(piece.token_ids));
  if (!piece.routed_experts.empty()) {
    add_field(text, "routed_experts", in_quotes(piece.routed_experts));
  }
  return chunk_event(chunk(usage), text);
}

std::string OpenAiAnswer::finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) {
  std::string text = chunk(usage);
  add_field(text, "seed", std::to_string(static_cast<int64_t>(end.seed)));
  json::object entry = choice_json(choice, to_json(finish_name(end)));
  entry["stop_reason"] = text_or_null(end.stop_reason);
  if (end.safety) entry["safety_report"] = report_json(*end.safety);
  if (is_chat()) {
    entry["delta"] = json::object();
  } else {
    entry["text"] = "";
  }
  return chunk_event(std::move(text), choice_text(entry));
}

std::string OpenAiAnswer::end(const Usage& total, bool include_usage) {
  if (!include_usage) return std::string(kDoneEvent);
  std::string text = chunk({.mention = true, .usage = &total});
  add_field(text, "choices", "[]");
  return "data: " + text + "\n\n" + std::string(kDoneEvent);
}

std::string OpenAiAnswer::error(const ApiError& error) {
  return "data: " + error_json(error) + "\n\n";
}

std::string OpenAiAnswer::whole_choice(int32_t index, const ChoiceAnswer& choice,
                                       const TokensWanted& wanted,
                                       const LogprobsFormat& format) const {
  json::object entry = choice_json(index, to_json(finish_name(choice.end)));
  entry["stop_reason"] = text_or_null(choice.end.stop_reason);
  if (choice.end.safety) entry["safety_report"] = report_json(*choice.end.safety);
  if (is_chat()) {
    entry["message"] = message_json(choice);
  } else {
    entry["text"] = to_json(choice.text);
  }
  std::string logprobs = "null";
  if (wanted.logprobs && is_chat()) {
    logprobs = format.chat(choice.tokens);
  } else if (wanted.logprobs) {
    const std::span<const TokenInfo> prompt =
        wanted.echo ? choice.prompt : std::span<const TokenInfo>();
    int64_t text_offset = 0;
    logprobs = format.completions(prompt, *wanted.logprobs, choice.tokens, text_offset);
  }
  std::string text = choice_text(entry, logprobs);
  if (!is_chat()) add_prompt_fields(text, choice, wanted, format);
  if (wanted.ids) add_field(text, "token_ids", id_list(choice.token_ids));
  if (!choice.routed_experts.empty()) {
    add_field(text, "routed_experts", in_quotes(choice.routed_experts));
  }
  return text;
}

std::string OpenAiAnswer::whole(const std::vector<ChoiceAnswer>& choices,
                                const TokensWanted& wanted, const Usage& usage,
                                const LogprobsFormat& format) {
  json::object object = envelope(is_chat() ? "chat.completion" : "text_completion");
  object["usage"] = usage_json(usage);
  std::string answer = json::serialize(object);
  if (is_chat()) add_prompt_fields(answer, choices.front(), wanted, format);  // of all choices
  answer.back() = ',';
  answer += "\"choices\":[";
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) answer += ",";
    answer += whole_choice(static_cast<int32_t>(i), choices[i], wanted, format);
  }
  return answer + "]}";
}

}  // namespace dbrx
