// Helpers of this floor's tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "safety/filter.h"
#include "safety/safety_stream.h"

namespace dbrx {

// What the filter finds in the text, as "category: found text".
inline std::vector<std::string> found_in(const SafetyFilter& filter, const std::string& text) {
  std::vector<std::string> all;
  size_t from = 0;
  while (const auto match = filter.next(text, from, /*is_end=*/true).match) {
    all.push_back(std::string(match->category) + ": " +
                  text.substr(match->begin, match->end - match->begin));
    from = match->end;
  }
  return all;
}

struct Shown {
  std::string text;
  std::vector<SafetyFinding> findings;
  bool is_blocked = false;
};

inline Shown feed(const std::vector<SafetyRule>& rules, const std::vector<std::string>& pieces) {
  SafetyStream stream(rules);
  Shown shown;
  bool goes_on = true;
  for (const std::string& piece : pieces) {
    goes_on = stream.push(piece, shown.text);
    if (!goes_on) break;
  }
  if (goes_on) stream.finish(shown.text);
  shown.findings = stream.findings();
  shown.is_blocked = stream.is_blocked();
  return shown;
}

}  // namespace dbrx
