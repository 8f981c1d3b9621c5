// Regular expressions over a text that arrives in pieces, by PCRE2's partial matching: it tells
// where a match may still begin or go on, so nothing is held back but that.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "safety/filter.h"

struct pcre2_real_code_8;

namespace dbrx {

// One alternative of a pattern.
struct PatternRule {
  std::string_view category;  // constant
  std::string regex;          // PCRE2, extended (white space is nothing), caseless, Unicode
  // Whether the found text is one, given up to kSafetyContext bytes of whole characters before it.
  // If not, shorter matches at the same place and later rules are tried. Null: always.
  bool (*accept)(std::string_view found, std::string_view before) = nullptr;
};

class Pattern {
 public:
  // At most 255 rules; of those that match at the same place, the first one wins. Throws
  // Error(invalid_argument) when the expressions can't be compiled or are too long together.
  explicit Pattern(std::span<const PatternRule> rules);

  // As SafetyFilter::next.
  SafetySearch next(std::string_view text, size_t from, bool is_end) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };

  std::vector<PatternRule> rules_;
  std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace dbrx
