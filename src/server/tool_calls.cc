#include "server/tool_calls.h"

#include <algorithm>
#include <utility>

#include "server/http_text.h"

namespace dbrx {
namespace {

// What stands around a call's name and arguments; names need no escapes.
constexpr std::string_view kNameBegin = R"({"name": ")";
constexpr std::string_view kNameEnd = R"(", "arguments": )";
constexpr std::string_view kCallTail = "}</tool_call>";
constexpr std::string_view kSpace = " \n\r\t";

// The end of a text that may become the begin of `mark`.
size_t n_begun(std::string_view text, std::string_view mark) {
  size_t n = std::min(text.size(), mark.size() - 1);
  while (!text.ends_with(mark.substr(0, n))) --n;
  return n;
}

std::string replace_less(std::string text, std::string_view less) {
  for (size_t at = 0; (at = text.find('<', at)) != std::string::npos; ++at) {
    const std::string_view rest = std::string_view(text).substr(at);
    for (const std::string_view mark : {kCallBegin, kCallEnd, kResultBegin, kResultEnd}) {
      if (!rest.starts_with(mark)) continue;
      text.replace(at, 1, less);
      break;
    }
  }
  return text;
}

}  // namespace

std::string escape_marks(std::string text) { return replace_less(std::move(text), "&lt;"); }

std::string escape_marks_of_json(std::string text) {
  return replace_less(std::move(text), "\\u003c");
}

std::string call_text(std::string_view name, std::string_view arguments) {
  std::string text(kCallBegin);
  return text.append(kNameBegin).append(name).append(kNameEnd).append(arguments).append(kCallTail);
}

ToolCallParser::Piece ToolCallParser::push(std::string_view text) {
  rest_ += text;
  Piece piece;
  while (step(piece)) {
  }
  return piece;
}

ToolCallParser::Piece ToolCallParser::finish() {
  Piece piece;
  if (state_ == State::text && n_calls_ == 0) piece.text = std::exchange(rest_, "");
  return piece;
}

// Each reader returns whether it changed the state, so that there is more to read.
bool ToolCallParser::step(Piece& piece) {
  switch (state_) {
    case State::text:
      return read_text(piece);
    case State::head:
      return read_head(piece);
    case State::arguments:
      return read_arguments(piece);
    case State::tail:
      break;
  }
  return read_tail();
}

bool ToolCallParser::read_text(Piece& piece) {
  const size_t begin = rest_.find(kCallBegin);
  const bool found = begin != std::string::npos;
  const size_t end = found ? begin : rest_.size() - n_begun(rest_, kCallBegin);
  const std::string_view before = std::string_view(rest_).substr(0, end);
  const size_t n_shown = before.find_last_not_of(kSpace) + 1;  // npos + 1 is 0
  piece.text += before.substr(0, n_shown);
  rest_.erase(0, found ? begin + kCallBegin.size() : n_shown);
  if (found) state_ = State::head;
  return found;
}

bool ToolCallParser::read_head(Piece& piece) {
  const size_t end = rest_.find(kNameEnd);
  if (end == std::string::npos) return false;
  piece.calls.push_back({.index = n_calls_++,
                         .id = id_prefix_ + random_hex(24),
                         .name = rest_.substr(kNameBegin.size(), end - kNameBegin.size())});
  rest_.erase(0, end + kNameEnd.size());
  state_ = State::arguments;
  return true;
}

bool ToolCallParser::read_arguments(Piece& piece) {
  size_t n = 0;
  bool complete = false;
  while (n < rest_.size() && !complete) {
    const char c = rest_[n++];
    if (in_string_) {
      if (c == '"' && !escaped_) in_string_ = false;
      escaped_ = c == '\\' && !escaped_;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      complete = --depth_ == 0;
    }
  }
  if (n > 0) {
    if (piece.calls.empty()) piece.calls.push_back({.index = n_calls_ - 1});
    piece.calls.back().arguments += rest_.substr(0, n);
    rest_.erase(0, n);
  }
  if (complete) state_ = State::tail;
  return complete;
}

bool ToolCallParser::read_tail() {
  if (!rest_.starts_with(kCallTail)) return false;
  rest_.erase(0, kCallTail.size());
  state_ = State::text;
  return true;
}

}  // namespace dbrx
