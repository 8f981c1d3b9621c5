// Calls of functions in the text of an answer (docs/api.md, "Function calls"): reading them while
// the text arrives. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

// Around a call and around the result of one.
constexpr std::string_view kCallBegin = "<tool_call>";
constexpr std::string_view kCallEnd = "</tool_call>";
constexpr std::string_view kResultBegin = "<tool_response>";
constexpr std::string_view kResultEnd = "</tool_response>";

// The text with "&lt;" in place of the "<" of each of these four, which would make it a call or a
// result: so they stand in what clients send as texts.
std::string escape_marks(std::string text);

// The same of JSON text, which stays the same value: with "\u003c".
std::string escape_marks_of_json(std::string text);

struct ToolCall {
  std::string id = {};
  std::string name = {};
  std::string arguments = {};  // JSON text of an object; cut off where the answer was
};

// What is new of a call. Only the first one of a call has id and name.
struct ToolCallDelta {
  int32_t index = 0;  // of the call, in its answer
  std::string id = {};
  std::string name = {};
  std::string arguments = {};  // to be appended
};

// Separates calls from the text before them. The answer follows the grammar of function calls, so
// what begins as a call is one; white space between text and calls belongs to neither.
class ToolCallParser {
 public:
  struct Piece {
    std::string text;
    std::vector<ToolCallDelta> calls;
  };

  // id_prefix: of the calls' ids, which are random.
  explicit ToolCallParser(std::string id_prefix) : id_prefix_(std::move(id_prefix)) {}

  // Takes what the answer's text goes on with. A part of it waits while it may be white space
  // before a call, or the begin of one.
  Piece push(std::string_view text);

  // The end of the answer. What was waiting is text, unless it is in a call or behind one.
  Piece finish();

  int32_t n_calls() const { return n_calls_; }

 private:
  enum class State { text, head, arguments, tail };

  bool step(Piece& piece);
  bool read_text(Piece& piece);
  bool read_head(Piece& piece);
  bool read_arguments(Piece& piece);
  bool read_tail();

  std::string id_prefix_;
  State state_ = State::text;
  std::string rest_;  // not yet read
  int32_t n_calls_ = 0;
  int32_t depth_ = 0;  // of the arguments' brackets
  bool in_string_ = false;
  bool escaped_ = false;
};

// A call as the prompt shows it; arguments: JSON text of an object.
std::string call_text(std::string_view name, std::string_view arguments);

}  // namespace dbrx
