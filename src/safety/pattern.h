// Regular expressions over a text that arrives in pieces, by PCRE2's partial matching: it tells
// where a match may still begin or go on, so nothing is held back but that.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "safety/filter.h"

struct pcre2_real_code_8;

namespace dbrx {

// A rule sees what is this many bytes before: kSafetyContext less the longest escape
// (plain_text.h), which a stream may have cut.
inline constexpr size_t kPatternContext = kSafetyContext - 6;

// One alternative of a pattern.
struct PatternRule {
  std::string_view category;  // constant
  std::string regex;          // PCRE2, extended (white space is nothing), caseless, Unicode
  // Whether the found text is one, given what stands in the kPatternContext bytes before it. If
  // not, shorter matches at the same place and later rules are tried. Null: always.
  bool (*accept)(std::string_view found, std::string_view before) = nullptr;
  // What it begins with, as characters of a class; empty: anything. Rules in a row with the same
  // beginning are tried only there, which is faster.
  std::string begin = {};
};

class Pattern {
 public:
  // At most 255 rules; of those that match at the same place, the first one wins. Throws
  // Error(invalid_argument) when the expressions can't be compiled or are too long together.
  explicit Pattern(std::span<const PatternRule> rules);

  // As SafetyFilter::next. If the text was made from another one, origin[i] is where byte i of it
  // came from: context is measured there.
  SafetySearch next(std::string_view text, size_t from, bool is_end,
                    std::span<const uint32_t> origin = {}) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };

  std::vector<PatternRule> rules_;
  std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace dbrx
