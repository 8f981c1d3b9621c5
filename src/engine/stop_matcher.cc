#include "engine/stop_matcher.h"

#include <algorithm>

#include "base/error.h"

namespace dbrx {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    CHECK(!stop.empty());
    Pattern pattern{.text = stop, .fallback = std::vector<int32_t>(stop.size(), 0)};
    for (size_t i = 1; i < stop.size(); ++i) {
      int32_t n = pattern.fallback[i - 1];
      while (n > 0 && stop[i] != stop[static_cast<size_t>(n)]) {
        n = pattern.fallback[static_cast<size_t>(n - 1)];
      }
      pattern.fallback[i] = n + (stop[i] == stop[static_cast<size_t>(n)]);
    }
    patterns_.push_back(std::move(pattern));
  }
}

void StopMatcher::advance(Pattern& pattern, char byte) {
  int32_t& n = pattern.n_matched;
  while (n > 0 && pattern.text[static_cast<size_t>(n)] != byte) {
    n = pattern.fallback[static_cast<size_t>(n - 1)];
  }
  n += pattern.text[static_cast<size_t>(n)] == byte;
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
    for (Pattern& pattern : patterns_) {
      advance(pattern, byte);
      const auto n = static_cast<size_t>(pattern.n_matched);
      n_hold = std::max(n_hold, n);
      if (n == pattern.text.size() && n > found_.size()) found_ = pattern.text;
    }
    if (!found_.empty()) {
      out.append(held_, 0, held_.size() - found_.size());
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
