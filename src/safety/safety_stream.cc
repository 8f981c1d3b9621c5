#include "safety/safety_stream.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "base/error.h"

namespace dbrx {

std::string mask_of(std::string_view category) {
  std::string mask = "[";
  for (const char c : category) mask += static_cast<char>(std::toupper(static_cast<uint8_t>(c)));
  return mask + "]";
}

SafetyStream::SafetyStream(std::span<const SafetyRule> rules)
    : rules_(rules), from_(rules.size(), 0) {}

bool SafetyStream::advance(std::string_view piece, bool is_end, std::string& out) {
  CHECK(!blocked_);
  text_ += piece;
  for (size_t rule = 0; rule < rules_.size(); ++rule) search(rule, is_end);
  std::sort(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) {
    return std::tuple(a.match.begin, a.rule) < std::tuple(b.match.begin, b.rule);
  });
  size_t decided = base_ + text_.size();
  for (const size_t from : from_) decided = std::min(decided, from);
  if (!settle(decided, out)) return false;
  show_until(pending_.empty() ? decided : std::min(decided, pending_.front().match.begin), out);
  forget(decided);
  return true;
}

// All that the rule can find by now.
void SafetyStream::search(size_t rule, bool is_end) {
  while (true) {
    const SafetySearch found = rules_[rule].filter->next(text_, from_[rule] - base_, is_end);
    if (!found.match) {
      from_[rule] = base_ + found.open;
      return;
    }
    SafetyMatch match = *found.match;
    match.begin += base_;
    match.end += base_;
    pending_.push_back({match, rule});
    from_[rule] = match.end;
  }
}

// Masks or blocks what no further match can overlap: those begin at `decided` or later.
bool SafetyStream::settle(size_t decided, std::string& out) {
  while (!pending_.empty()) {
    const SafetyMatch first = pending_.front().match;
    size_t end = first.end;
    auto last = pending_.begin();
    bool is_blocked = false;
    for (; last != pending_.end() && last->match.begin < end; ++last) {
      end = std::max(end, last->match.end);
      is_blocked = is_blocked || rules_[last->rule].action == SafetyAction::block;
    }
    if (end > decided) return true;
    show_until(first.begin, out);
    for (auto it = pending_.begin(); it != last; ++it) {
      const SafetyRule& rule = rules_[it->rule];
      findings_.push_back({std::string(rule.filter->name()), std::string(it->match.category),
                           rule.action, it->match.begin, it->match.end});
    }
    blocked_ = is_blocked;
    if (is_blocked) return false;
    out += mask_of(first.category);
    shown_ = end;
    pending_.erase(pending_.begin(), last);
  }
  return true;
}

void SafetyStream::show_until(size_t end, std::string& out) {
  if (end <= shown_) return;
  out.append(text_, shown_ - base_, end - shown_);
  shown_ = end;
}

// Drops the text that neither a match nor its context can reach.
void SafetyStream::forget(size_t decided) {
  constexpr size_t kSlack = 1024;  // so that moving the rest costs little per byte
  const size_t needed = std::min(decided, shown_) - base_;
  if (needed < kSafetyContext + kSlack) return;
  size_t n = needed - kSafetyContext;
  while (n > 0 && (static_cast<uint8_t>(text_[n]) & 0xC0) == 0x80) --n;
  text_.erase(0, n);
  base_ += n;
}

}  // namespace dbrx
