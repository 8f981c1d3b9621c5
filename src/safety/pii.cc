#include "safety/pii.h"

#include <algorithm>

#include "safety/pii_rules.h"
#include "safety/plain_text.h"

namespace dbrx {
namespace {

class PiiFilter : public SafetyFilter {
 public:
  explicit PiiFilter(const std::vector<PatternRule>& rules) : pattern_(rules) {}
  std::string_view name() const override { return "pii"; }

  // In windows, which give what pieces of a stream would: an escape far behind a match costs
  // nothing.
  SafetySearch next(std::string_view text, size_t from, bool is_end) const override {
    size_t n = kWindow;
    while (text.size() - from > n) {
      size_t end = from + n;
      while ((static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) ++end;
      const SafetySearch found = search(text.substr(0, end), from, /*is_end=*/false);
      if (found.match) return found;
      if (found.open == from) n *= 2;
      from = found.open;
    }
    return search(text, from, is_end);
  }

 private:
  static constexpr size_t kWindow = 1024;

  SafetySearch search(std::string_view text, size_t from, bool is_end) const {
    size_t begin = from - std::min(from, kSafetyContext);
    while (begin < from && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) ++begin;
    const auto plain = to_plain(text.substr(begin), is_end);
    if (!plain) return pattern_.next(text, from, is_end);
    const std::vector<uint32_t>& origin = plain->origin;
    const auto at = std::lower_bound(origin.begin(), origin.end(), from - begin);
    if (at == origin.end()) return {std::nullopt, from};  // the rest is a cut escape
    SafetySearch found =
        pattern_.next(plain->text, static_cast<size_t>(at - origin.begin()), is_end, origin);
    found.open = begin + origin[found.open];
    if (found.match) {
      found.match->begin = begin + origin[found.match->begin];
      found.match->end = begin + origin[found.match->end];
    }
    return found;
  }

  Pattern pattern_;
};

}  // namespace

std::shared_ptr<const SafetyFilter> make_pii_filter() {
  std::vector<PatternRule> rules = email_rules();
  for (PatternRule& rule : iban_rules()) {
    rule.begin = "a-z";
    rules.push_back(std::move(rule));
  }
  for (auto& kind : {card_rules(), ssn_rules(), phone_rules()}) {
    for (PatternRule rule : kind) {
      rule.begin = "0-9(+";
      rules.push_back(std::move(rule));
    }
  }
  return std::make_shared<PiiFilter>(rules);
}

}  // namespace dbrx
