// Finds stop strings in a text that arrives in pieces, and holds back what may still become one.
//
// The text is searched byte by byte, so the answer does not depend on how it was cut into tokens.
// The stop string that is complete first wins; of several that end at the same byte, the longest.
// Held back is the longest end of the text that is the beginning of a stop string. Stop strings and
// pieces are whole UTF-8 characters, so what comes out is, too: a stop string starts with a lead
// byte, hence what is held back does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

// A stop string with the failure function of Knuth, Morris and Pratt.
struct StopPattern {
  std::string_view text;
  std::vector<int32_t> fallback;  // [text.size()]: longest border of the first i + 1 bytes
};

// Empty strings are not allowed. `stops` outlives the patterns.
std::vector<StopPattern> stop_patterns(const std::vector<std::string>& stops);

class StopMatcher {
 public:
  // The patterns outlive the matcher. Matchers of several texts may share them. include_found: the
  // text ends with the stop string, not before it.
  StopMatcher(std::span<const StopPattern> patterns, bool include_found)
      : patterns_(patterns), include_found_(include_found), n_matched_(patterns.size(), 0) {}

  // Appends to `out` the text that is safe now. True when a stop string is complete: everything
  // before it (with include_found: and the string) is then in `out`, the rest is dropped, and the
  // matcher takes no more text.
  bool push(std::string_view piece, std::string& out);

  // The end of the text: appends what was held back.
  void finish(std::string& out);

  // The stop string that was found, or empty.
  std::string_view found() const { return found_; }

 private:
  std::span<const StopPattern> patterns_;
  bool include_found_;
  std::vector<int32_t> n_matched_;  // [patterns]: its longest beginning that ends the text so far
  std::string held_;
  std::string_view found_;
};

}  // namespace dbrx
