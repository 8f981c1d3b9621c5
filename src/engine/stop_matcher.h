// Finds stop strings in a text that arrives in pieces, and holds back what may still become one.
//
// The text is searched byte by byte, so the answer does not depend on how it was cut into tokens.
// The stop string that is complete first wins; of several that end at the same byte, the longest.
// Held back is the longest end of the text that is the beginning of a stop string. Stop strings and
// pieces are whole UTF-8 characters, so what comes out is, too: a stop string starts with a lead
// byte, hence what is held back does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {

class StopMatcher {
 public:
  // Empty strings are not allowed. `stops` outlives the matcher.
  explicit StopMatcher(const std::vector<std::string>& stops);

  // Appends to `out` the text that is safe now. True when a stop string is complete: everything
  // before it is then in `out`, the rest is dropped, and the matcher takes no more text.
  bool push(std::string_view piece, std::string& out);

  // The end of the text: appends what was held back.
  void finish(std::string& out);

  // The stop string that was found, or empty.
  std::string_view found() const { return found_; }

 private:
  // One stop string with the failure function of Knuth, Morris and Pratt.
  struct Pattern {
    std::string_view text;
    std::vector<int32_t> fallback;  // [length]: longest border of the first i + 1 bytes
    int32_t n_matched = 0;          // longest beginning of `text` that ends the text so far
  };
  static void advance(Pattern& pattern, char byte);

  std::vector<Pattern> patterns_;
  std::string held_;
  std::string_view found_;
};

}  // namespace dbrx
