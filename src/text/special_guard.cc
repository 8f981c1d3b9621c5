#include "text/special_guard.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace dbrx {
namespace {

// Planes 15 and 16 are for private use; all their characters have four bytes in UTF-8, the first of
// them 0xF3 (from U+F0000 on, shared with some characters of plane 14) or 0xF4.
constexpr char32_t kFirstPrivate = 0xF0000;
constexpr char32_t kLastPrivate = 0x10FFFD;
constexpr size_t kPrivateBytes = 4;

bool may_be_private(char byte) { return byte == '\xF3' || byte == '\xF4'; }

std::string utf8(char32_t c) {
  return {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
          static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
}

void collect_private(std::string_view text, std::set<char32_t>& used) {
  for (size_t i = 0; i + kPrivateBytes <= text.size(); ++i) {
    if (!may_be_private(text[i])) continue;
    const auto bits = [&](size_t k) { return static_cast<char32_t>(text[i + k]); };
    used.insert((bits(0) & 7) << 18 | (bits(1) & 0x3F) << 12 | (bits(2) & 0x3F) << 6 |
                (bits(3) & 0x3F));
  }
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// "user", "tool_response": a template may well put such a role between <| and |>.
bool is_plain_word(std::string_view role) {
  return std::all_of(role.begin(), role.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

SpecialGuard::SpecialGuard(const Tokenizer& tokenizer, std::span<const ChatMessage> messages)
    : tokenizer_(&tokenizer), next_(kFirstPrivate) {
  for (const ChatMessage& message : messages) {
    collect_private(message.role, used_);
    collect_private(message.content, used_);
  }
  for (const ChatMessage& message : messages) {
    std::string role = hide_names(message.role);
    if (!is_plain_word(role)) role = hide_edges(std::move(role));
    messages_.push_back({std::move(role), hide_edges(hide_names(message.content))});
  }
}

std::vector<int32_t> SpecialGuard::encode(std::string_view prompt) const {
  std::vector<int32_t> ids;
  for (const Tokenizer::Piece& piece : tokenizer_->split(prompt)) {
    if (piece.id >= 0) {
      ids.push_back(piece.id);
      continue;
    }
    const auto part = tokenizer_->encode(restore(piece.text), Specials::as_text);
    ids.insert(ids.end(), part.begin(), part.end());
  }
  return ids;
}

// Leftmost first, the longest name at a place.
std::string SpecialGuard::hide_names(std::string_view text) {
  bool starts_name[256] = {};
  for (const auto& [name, id] : tokenizer_->special_ids()) {
    starts_name[static_cast<uint8_t>(name[0])] = true;
  }
  std::string result;
  size_t i = 0;
  while (i < text.size()) {
    std::string_view found;
    if (starts_name[static_cast<uint8_t>(text[i])]) {
      for (const auto& [name, id] : tokenizer_->special_ids()) {
        if (name.size() > found.size() && text.substr(i).starts_with(name)) found = name;
      }
    }
    if (found.empty()) {
      result += text[i++];
    } else {
      result += stand_in(found);
      i += found.size();
    }
  }
  return result;
}

// Also the begin of a name at the text's end, and the end of one at its begin, are hidden: the
// neighbours that a template puts there could complete them. White space around the text does not
// count, since templates trim.
std::string SpecialGuard::hide_edges(std::string text) {
  size_t end = text.size();
  while (end > 0 && is_space(text[end - 1])) --end;
  size_t n_tail = 0;
  for (const auto& [name, id] : tokenizer_->special_ids()) {
    for (size_t n = std::min(name.size() - 1, end); n > n_tail; --n) {
      if (std::string_view(text).substr(end - n, n) == std::string_view(name).substr(0, n)) {
        n_tail = n;
      }
    }
  }
  if (n_tail > 0) text.replace(end - n_tail, n_tail, stand_in(text.substr(end - n_tail, n_tail)));

  size_t begin = 0;
  while (begin < text.size() && is_space(text[begin])) ++begin;
  size_t n_head = 0;
  for (const auto& [name, id] : tokenizer_->special_ids()) {
    for (size_t n = std::min(name.size() - 1, text.size() - begin); n > n_head; --n) {
      if (std::string_view(text).substr(begin, n) ==
          std::string_view(name).substr(name.size() - n)) {
        n_head = n;
      }
    }
  }
  if (n_head > 0) text.replace(begin, n_head, stand_in(text.substr(begin, n_head)));
  return text;
}

const std::string& SpecialGuard::stand_in(std::string_view hidden) {
  const auto known = to_.find(hidden);
  if (known != to_.end()) return known->second;
  while (used_.contains(next_)) ++next_;
  if (next_ > kLastPrivate) {
    throw Error{Code::invalid_argument,
                "the messages hold every private-use character of Unicode and names of special "
                "tokens; remove one or the other"};
  }
  const std::string character = utf8(next_++);
  from_.emplace(character, hidden);
  return to_.emplace(hidden, character).first->second;
}

std::string SpecialGuard::restore(std::string_view text) const {
  if (from_.empty()) return std::string(text);
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto hidden =
        may_be_private(text[i]) ? from_.find(text.substr(i, kPrivateBytes)) : from_.end();
    if (hidden == from_.end()) {
      result += text[i];
    } else {
      result += hidden->second;
      i += kPrivateBytes - 1;
    }
  }
  return result;
}

}  // namespace dbrx
