#include <algorithm>
#include <cctype>

#include "safety/number_hint.h"
#include "safety/pii_rules.h"

namespace dbrx {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The sizes of the groups of digits: "(415) 555-2671" -> 3 3 4, as one character each.
std::string shape_of(std::string_view text) {
  std::string shape;
  bool was_digit = false;
  for (const char c : text) {
    if (is_digit(c) && was_digit) {
      ++shape.back();
    } else if (is_digit(c)) {
      shape += '1';
    }
    was_digit = is_digit(c);
  }
  return shape;
}

// Whether the text has a date: 2024-05-17, 17.05.2024, 5/17/24.
bool has_date(std::string_view text) {
  static const Pattern* date = [] {
    const PatternRule rule{"date",
                           R"((?<![0-9]) (?: (?:19|20)[0-9]{2} ([.\-/]) [0-9]{1,2} \g{-1} [0-9]{1,2}
                 | [0-9]{1,2} ([.\-/]) [0-9]{1,2} \g{-1} (?:19|20)[0-9]{2}
                 | [0-9]{1,2} / [0-9]{1,2} / [0-9]{2} ) (?! /? [0-9] ))"};
    return new Pattern(std::span(&rule, 1));
  }();
  return date->next(text, 0, /*is_end=*/true).match.has_value();
}

// A number that begins with + or a country's code.
bool accept_international(std::string_view found, std::string_view /*before*/) {
  const std::string digits = digits_of(found);
  return digits.size() >= 7 && digits.size() <= 15 && shape_of(found).back() >= '2';
}

// A national number in a form of its own.
bool accept_national(std::string_view found, std::string_view before) {
  if (has_date(found)) return false;
  const NumberHint hint = number_hint(before);
  return hint == NumberHint::none || hint == NumberHint::phone;
}

// A national number with the prefix 0.
bool accept_trunk(std::string_view found, std::string_view before) {
  const size_t n = digits_of(found).size();
  const std::string shape = shape_of(found);
  const bool is_other = shape == "54" || shape == "324";  // a ZIP code, a social security number
  return n >= 9 && n <= 12 && !is_other && accept_national(found, before);
}

// Digits in any groups.
bool accept_after_phone_word(std::string_view found, std::string_view before) {
  return !has_date(found) && number_hint(before) == NumberHint::phone;
}

// The last line of an address: a number alone, after a line of words.
bool accept_own_line(std::string_view found, std::string_view before) {
  before.remove_suffix(1);  // the line's end
  const size_t line = before.rfind('\n');
  if (line != std::string_view::npos) before.remove_prefix(line + 1);
  const bool has_words = std::any_of(before.begin(), before.end(), [](char c) {
    return std::isalpha(static_cast<uint8_t>(c)) != 0;
  });
  return has_words && accept_national(found, before);
}

}  // namespace

std::vector<PatternRule> phone_rules() {
  const std::string s = "[" + std::string(kSeparators) + "/]";
  const std::string between = "[" + std::string(kSeparators) + "/()]{0,3}+";
  const std::string before = R"((?<![\w+/#$&]) (?<!\w-) (?<![0-9][.,:]) )";
  // Not the middle of a longer number in groups.
  const std::string first = before + "(?<![0-9][" + kSeparators + "])";
  const std::string extension = "(?: ,? [ ]? (?: x | ext\\.? | extension ) [ ]? [0-9]{1,6}+ )?";
  const std::string after = R"( (?!\w) (?! [.,:/\-] [0-9] ))";
  return {
      // North America: (415) 555-2671, 1-415-555-2671
      {"phone",
       before + "(?: (?: \\+ | 00 )? 1 " + s + "{0,2} )? (?: \\( [2-9][0-9]{2} \\) " + s +
           "{0,2} | [2-9][0-9]{2} " + s + " ) [2-9][0-9]{2} " + s + "? [0-9]{4}" + extension +
           after,
       accept_national},
      // +49 30 1234567, +44 (0)20 7946 0958
      {"phone",
       "(?<![\\w+]) \\(? \\+ [ ]? \\(? [1-9] (?: " + between + "[0-9] ){6,14}" + extension + after,
       accept_international},
      // 0049 30 1234567
      {"phone",
       first + "00 " + s + "? [1-9][0-9]{0,2} (?: " + s + "{1,3} [0-9]{1,12}+ ){1,6} " + extension +
           after,
       accept_national},
      // 030 1234567, (020) 7946 0958, 01 23 45 67 89, 07700900123
      {"phone",
       first + "\\(? 0 \\)? [1-9][0-9]{0,4} \\)? (?: " + s + "{1,3} [0-9]{2,8}+ ){1,5}" +
           extension + after,
       accept_trunk},
      // (0161)4960453
      {"phone", first + "\\( 0[1-9][0-9]{0,4} \\) [0-9]{4,8}" + after, accept_trunk},
      {"phone", first + "0[1-9][0-9]{8,9}" + after, accept_national},
      // India: 98765 43210
      {"phone", first + "[6-9][0-9]{4} " + s + " [0-9]{5}" + after, accept_national},
      {"phone", first + "\\(? [0-9] (?: " + between + "[0-9] ){6,14}" + extension + after,
       accept_after_phone_word},
      {"phone", "(?<=\\n) [0-9]{9,12}+ (?= [ ]? (?: \\r | \\n | \\z ) )", accept_own_line},
  };
}

}  // namespace dbrx
