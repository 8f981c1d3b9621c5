#include "server/logprobs_format.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "server/json_fields.h"
#include "text/utf8.h"

namespace dbrx {
namespace json = boost::json;
namespace {

json::array byte_list(std::string_view bytes) {
  json::array list;
  for (char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

// As vLLM writes it.
std::string id_name(int32_t id) { return "token_id:" + std::to_string(id); }

// Adds a value to the end of a JSON list that is still open.
void append_item(std::string& list, std::string_view value) {
  if (list.back() != '[') list.push_back(',');
  list.append(value);
}

}  // namespace

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

json::object LogprobsFormat::chat_token(int32_t id, float logprob) const {
  const std::string_view bytes = tokenizer_.token_bytes(id);
  json::object object;
  object["token"] = to_json(by_id_ ? id_name(id) : token_text(bytes));
  object["logprob"] = json_logprob(logprob);
  object["bytes"] = byte_list(bytes);
  return object;
}

std::string LogprobsFormat::list(std::span<const TokenInfo> tokens) const {
  std::string list = "[";
  for (const TokenInfo& token : tokens) {
    json::object entry = chat_token(token.id, token.logprob);
    json::array top;
    for (const TokenLogprob& other : token.top) {
      top.push_back(chat_token(other.id, other.logprob));
    }
    entry["top_logprobs"] = std::move(top);
    append_item(list, json::serialize(entry));
  }
  return list + "]";
}

std::string LogprobsFormat::chat(std::span<const TokenInfo> tokens) const {
  return "{\"content\":" + list(tokens) + "}";
}

std::string LogprobsFormat::name(int32_t id) const {
  const std::string_view bytes = tokenizer_.token_bytes(id);
  return is_utf8(bytes) ? std::string(bytes) : "bytes:" + token_text(bytes);
}

std::string LogprobsFormat::name_or_id(int32_t id) const { return by_id_ ? id_name(id) : name(id); }

std::string LogprobsFormat::completions(std::span<const TokenInfo> prompt, int32_t n_top,
                                        std::span<const TokenInfo> tokens,
                                        int64_t& text_offset) const {
  std::string texts = "[", logprobs = "[", tops = "[", offsets = "[";
  const auto add = [&](const TokenInfo& token, size_t n, bool has_logprob) {
    append_item(texts, json::serialize(to_json(name_or_id(token.id))));
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
      top.emplace(name_or_id(token.top[i].id), json_logprob(token.top[i].logprob));
    }
    top.emplace(name_or_id(token.id), json_logprob(token.logprob));
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

}  // namespace dbrx
