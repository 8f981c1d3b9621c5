// The expressions and checks behind make_pii_filter. Private to it and its tests.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safety/pattern.h"

namespace dbrx {

// In the order in which they are tried at one place of the text.
std::vector<PatternRule> email_rules();
std::vector<PatternRule> iban_rules();
std::vector<PatternRule> card_rules();
std::vector<PatternRule> ssn_rules();
std::vector<PatternRule> phone_rules();

// What may stand between the groups of a number, as characters of a class: a space of any kind, a
// point, a hyphen of any kind, signs without width.
inline constexpr const char* kSeparators =
    " .\\x{a0}\\x{ad}\\x{b7}\\x{2000}-\\x{2015}\\x{2022}\\x{202f}\\x{205f}\\x{2060}\\x{2212}"
    "\\x{3000}\\x{feff}\\-";

// What a number can't be a part of, as characters of a class: digits and the letters of scripts
// that have spaces between words (Latin, Greek, Cyrillic).
inline constexpr const char* kWord =
    "0-9A-Za-z_\\x{aa}\\x{b5}\\x{ba}\\x{c0}-\\x{2af}\\x{370}-\\x{52f}";

// Countries of one length of IBAN (ISO 13616's registry).
struct IbanLength {
  size_t length;
  std::string_view countries;  // two letters each, separated by |
};
std::span<const IbanLength> iban_lengths();

// Between a number and the word that says what it was: "... is still the right number".
std::string linking_words();

// The ASCII digits of the text.
std::string digits_of(std::string_view text);

// The numbers of digits of its groups, as one character each: "(415) 555-2671" is "334", 10 is ':'.
std::string shape_of(std::string_view text);

}  // namespace dbrx
