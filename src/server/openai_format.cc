#include "server/openai_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/utf8.h"

namespace dbrx {
namespace json = boost::json;
namespace {

json::string to_json(std::string_view text) { return json::string(json::string_view(text)); }

json::value text_or_null(std::string_view text) {
  if (text.empty()) return nullptr;
  return to_json(text);
}

bool is_utf8(std::string_view bytes) {
  std::string repaired;
  Utf8Repair repair;
  repair.push(bytes, repaired);
  repair.finish(repaired);
  return repaired == bytes;
}

int64_t count_characters(std::string_view text) {
  int64_t n = 0;
  for (char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

json::array byte_list(std::string_view bytes) {
  json::array list;
  for (char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

json::object token_json(std::string_view bytes, float logprob) {
  json::object object;
  object["token"] = to_json(token_text(bytes));
  object["logprob"] = json_logprob(logprob);
  object["bytes"] = byte_list(bytes);
  return object;
}

json::object envelope(const AnswerHead& head, std::string_view object_name) {
  json::object object;
  object["id"] = to_json(head.id);
  object["object"] = to_json(object_name);
  object["created"] = head.created;
  object["model"] = to_json(head.model);
  object["system_fingerprint"] = text_or_null(head.system_fingerprint);
  return object;
}

json::object chunk_envelope(const AnswerHead& head, ChunkUsage usage) {
  bool chat = head.endpoint == Endpoint::chat;
  json::object object = envelope(head, chat ? "chat.completion.chunk" : "text_completion");
  if (usage.mention) object["usage"] = nullptr;
  if (usage.usage) object["usage"] = usage_json(*usage.usage);
  return object;
}

// Adds a value to the end of a JSON list that is still open.
void append_item(std::string& list, std::string_view value) {
  if (list.back() != '[') list.push_back(',');
  list.append(value);
}

// The text of an object with one field more, whose value is JSON text. The object is not empty.
std::string with_field(const json::object& object, std::string_view name, std::string_view value) {
  std::string text = json::serialize(object);
  text.back() = ',';
  text.append("\"").append(name).append("\":").append(value).append("}");
  return text;
}

json::object choice_json(int32_t index, json::value finish_reason) {
  json::object choice;
  choice["index"] = index;
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

// The event of a chunk with this one choice.
std::string chunk_event(const json::object& chunk, const json::object& choice,
                        std::string_view logprobs) {
  return "data: " +
         with_field(chunk, "choices", "[" + with_field(choice, "logprobs", logprobs) + "]") +
         "\n\n";
}

}  // namespace

std::string_view finish_name(FinishReason reason) {
  return reason == FinishReason::length ? "length" : "stop";
}

double json_logprob(float logprob) {
  if (!std::isfinite(logprob)) return -9999.0;
  std::array<char, 32> text;
  auto [end, ec] = std::to_chars(text.data(), text.data() + text.size(), logprob);
  double value = 0;
  std::from_chars(text.data(), end, value);
  return value;
}

std::string token_text(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  std::string out;
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out.push_back("0123456789abcdef"[byte >> 4]);
    out.push_back("0123456789abcdef"[byte & 15]);
  }
  return out;
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

std::string LogprobsFormat::chat(const std::vector<TokenInfo>& tokens) const {
  std::string content = "[";
  for (const TokenInfo& token : tokens) {
    json::object entry = token_json(tokenizer_.token_bytes(token.id), token.logprob);
    json::array top;
    for (const TokenLogprob& other : token.top) {
      top.push_back(token_json(tokenizer_.token_bytes(other.id), other.logprob));
    }
    entry["top_logprobs"] = std::move(top);
    append_item(content, json::serialize(entry));
  }
  return "{\"content\":" + content + "]}";
}

std::string LogprobsFormat::name(int32_t id) const {
  const std::string_view bytes = tokenizer_.token_bytes(id);
  return is_utf8(bytes) ? std::string(bytes) : "bytes:" + token_text(bytes);
}

std::string LogprobsFormat::completions(std::span<const TokenInfo> prompt, int32_t n_top,
                                        std::span<const TokenInfo> tokens,
                                        int64_t& text_offset) const {
  std::string texts = "[", logprobs = "[", tops = "[", offsets = "[";
  const auto add = [&](const TokenInfo& token, size_t n, bool has_logprob) {
    append_item(texts, json::serialize(to_json(name(token.id))));
    append_item(offsets, std::to_string(text_offset));
    text_offset += count_characters(tokenizer_.token_bytes(token.id));
    if (!has_logprob) {
      append_item(logprobs, "null");
      append_item(tops, "null");
      return;
    }
    append_item(logprobs, json::serialize(json::value(json_logprob(token.logprob))));
    json::object top;
    for (size_t i = 0; i < std::min(n, token.top.size()); ++i) {
      // Two ids may have one text: the likelier one, which comes first, keeps the place.
      top.emplace(name(token.top[i].id), json_logprob(token.top[i].logprob));
    }
    top.emplace(name(token.id), json_logprob(token.logprob));
    append_item(tops, json::serialize(top));
  };
  for (const TokenInfo& token : prompt) add(token, static_cast<size_t>(n_top), token.rank > 0);
  for (const TokenInfo& token : tokens) add(token, token.top.size(), true);
  return "{\"tokens\":" + texts + "],\"token_logprobs\":" + logprobs +
         "],\"top_logprobs\":" + tops + "],\"text_offset\":" + offsets + "]}";
}

std::string LogprobsFormat::prompt(std::span<const TokenInfo> tokens, int32_t n_top) const {
  std::string list = "[";
  const auto entry = [&](int32_t id, float logprob, int32_t rank) {
    json::object object;
    object["logprob"] = json_logprob(logprob);
    object["rank"] = rank;
    object["decoded_token"] = to_json(name(id));
    return object;
  };
  for (const TokenInfo& token : tokens) {
    if (token.rank == 0) {
      append_item(list, "null");
      continue;
    }
    json::object object;
    for (size_t i = 0; i < std::min(static_cast<size_t>(n_top), token.top.size()); ++i) {
      const auto& [id, logprob] = token.top[i];
      object[std::to_string(id)] = entry(id, logprob, static_cast<int32_t>(i) + 1);
    }
    object[std::to_string(token.id)] = entry(token.id, token.logprob, token.rank);
    append_item(list, json::serialize(object));
  }
  return list + "]";
}

std::string role_chunk(const AnswerHead& head, int32_t choice, ChunkUsage usage) {
  json::object entry = choice_json(choice, nullptr);
  json::object delta;
  delta["role"] = "assistant";
  delta["content"] = "";
  entry["delta"] = std::move(delta);
  return chunk_event(chunk_envelope(head, usage), entry, "null");
}

std::string text_chunk(const AnswerHead& head, int32_t choice, std::string_view text,
                       std::string_view logprobs, ChunkUsage usage) {
  json::object entry = choice_json(choice, nullptr);
  if (head.endpoint == Endpoint::chat) {
    json::object delta;
    delta["content"] = to_json(text);
    entry["delta"] = std::move(delta);
  } else {
    entry["text"] = to_json(text);
  }
  return chunk_event(chunk_envelope(head, usage), entry, logprobs);
}

std::string finish_chunk(const AnswerHead& head, int32_t choice, FinishReason reason,
                         std::string_view stop_reason, uint64_t seed, ChunkUsage usage) {
  json::object object = chunk_envelope(head, usage);
  object["seed"] = static_cast<int64_t>(seed);
  json::object entry = choice_json(choice, to_json(finish_name(reason)));
  entry["stop_reason"] = text_or_null(stop_reason);
  if (head.endpoint == Endpoint::chat) {
    entry["delta"] = json::object();
  } else {
    entry["text"] = "";
  }
  return chunk_event(object, entry, "null");
}

std::string usage_chunk(const AnswerHead& head, const Usage& usage) {
  json::object object = chunk_envelope(head, {.mention = true, .usage = &usage});
  object["choices"] = json::array();
  return "data: " + json::serialize(object) + "\n\n";
}

std::string error_event(const std::string& error_json) { return "data: " + error_json + "\n\n"; }

std::string whole_answer(const AnswerHead& head, const std::vector<ChoiceAnswer>& choices,
                         const LogprobsWanted& wanted, const Usage& usage,
                         const LogprobsFormat& format) {
  bool chat = head.endpoint == Endpoint::chat;
  json::object object = envelope(head, chat ? "chat.completion" : "text_completion");
  object["usage"] = usage_json(usage);
  std::string answer = json::serialize(object);
  answer.back() = ',';
  if (chat && wanted.prompt) {  // one prompt
    answer += "\"prompt_logprobs\":" + format.prompt(choices.front().prompt, *wanted.prompt) + ",";
  }
  answer += "\"choices\":[";
  int32_t index = 0;
  for (const ChoiceAnswer& choice : choices) {
    json::object entry = choice_json(index++, to_json(finish_name(choice.finish)));
    entry["stop_reason"] = text_or_null(choice.stop_reason);
    if (chat) {
      json::object message;
      message["role"] = "assistant";
      message["content"] = to_json(choice.text);
      entry["message"] = std::move(message);
    } else {
      entry["text"] = to_json(choice.text);
    }
    std::string logprobs = "null";
    int64_t text_offset = 0;
    if (wanted.tokens) {
      const std::span<const TokenInfo> prompt =
          wanted.echo ? choice.prompt : std::span<const TokenInfo>();
      logprobs = chat ? format.chat(choice.tokens)
                      : format.completions(prompt, *wanted.tokens, choice.tokens, text_offset);
    }
    std::string object_text = with_field(entry, "logprobs", logprobs);
    if (!chat && wanted.prompt) {
      object_text.back() = ',';
      object_text += "\"prompt_logprobs\":" + format.prompt(choice.prompt, *wanted.prompt) + "}";
    }
    append_item(answer, object_text);
  }
  answer += "]}";
  return answer;
}

}  // namespace dbrx
