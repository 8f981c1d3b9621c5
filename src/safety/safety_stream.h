// The text of one answer, or of a whole prompt, through the filters: what may be shown of it now.
//
// Matches that overlap are one: it is blocked if one of them is, else masked as the first of them.
// Any way of cutting a text into pieces gives the same shown text and the same findings, and no
// byte of a match is ever shown. Held back is only the end that may still become part of a match.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safety/filter.h"

namespace dbrx {

class SafetyStream {
 public:
  // The rules outlive the stream.
  explicit SafetyStream(std::span<const SafetyRule> rules);

  // Takes a piece of valid UTF-8 and appends to `out` what may be shown. False once a match is
  // blocked: the text ends before it, and the stream takes no more. Throws Error(internal).
  bool push(std::string_view piece, std::string& out) { return advance(piece, false, out); }

  // The end of the text: appends the rest.
  bool finish(std::string& out) { return advance("", true, out); }

  // In the order of the text; the matches that were blocked come last.
  const std::vector<SafetyFinding>& findings() const { return findings_; }
  bool is_blocked() const { return blocked_; }

 private:
  // All positions are bytes of the whole text.
  struct Pending {
    SafetyMatch match;
    size_t rule = 0;
  };

  bool advance(std::string_view piece, bool is_end, std::string& out);
  void search(size_t rule, bool is_end);
  bool settle(size_t decided, std::string& out);
  void show_until(size_t end, std::string& out);
  void forget(size_t decided);

  std::span<const SafetyRule> rules_;
  std::string text_;              // the last part of the text
  size_t base_ = 0;               // where it begins
  size_t shown_ = 0;              // all before is shown or masked
  std::vector<size_t> from_;      // [rules]: where its next match may begin
  std::vector<Pending> pending_;  // by begin, then by rule
  std::vector<SafetyFinding> findings_;
  bool blocked_ = false;
};

}  // namespace dbrx
