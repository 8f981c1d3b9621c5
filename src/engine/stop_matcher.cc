#include "engine/stop_matcher.h"

#include <algorithm>

#include "base/error.h"

namespace dbrx {
namespace {

// How much of the pattern ends the text with one byte more; n: how much ended it before.
int32_t advance(const StopPattern& pattern, int32_t n, char byte) {
  while (n > 0 && pattern.text[static_cast<size_t>(n)] != byte) {
    n = pattern.fallback[static_cast<size_t>(n - 1)];
  }
  return n + (pattern.text[static_cast<size_t>(n)] == byte);
}

}  // namespace

std::vector<StopPattern> stop_patterns(const std::vector<std::string>& stops) {
  std::vector<StopPattern> patterns;
  for (const std::string& stop : stops) {
    CHECK(!stop.empty());
    StopPattern pattern{.text = stop, .fallback = std::vector<int32_t>(stop.size(), 0)};
    for (size_t i = 1; i < stop.size(); ++i) {
      pattern.fallback[i] = advance(pattern, pattern.fallback[i - 1], stop[i]);
    }
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

bool StopMatcher::push(std::string_view piece, std::string& out) {
  CHECK(found_.empty());
  if (patterns_.empty()) {
    out += piece;
    return false;
  }
  for (const char byte : piece) {
    held_ += byte;
    size_t n_hold = 0;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      const StopPattern& pattern = patterns_[i];
      n_matched_[i] = advance(pattern, n_matched_[i], byte);
      const auto n = static_cast<size_t>(n_matched_[i]);
      n_hold = std::max(n_hold, n);
      if (n == pattern.text.size() && n > found_.size()) found_ = pattern.text;
    }
    if (!found_.empty()) {
      out.append(held_, 0, held_.size() - (include_found_ ? 0 : found_.size()));
      held_.clear();
      return true;
    }
    const size_t n_safe = held_.size() - n_hold;
    out.append(held_, 0, n_safe);
    held_.erase(0, n_safe);
  }
  return false;
}

void StopMatcher::finish(std::string& out) {
  out += held_;
  held_.clear();
}

}  // namespace dbrx
