#include <algorithm>
#include <cctype>
#include <string>

#include "safety/number_hint.h"
#include "safety/pii.h"
#include "safety/pii_rules.h"

namespace dbrx {
namespace {

std::string alphanumeric_of(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<uint8_t>(c)) != 0) out += c;
  }
  return out;
}

bool accept_iban(std::string_view found, std::string_view /*before*/) {
  return is_iban(alphanumeric_of(found));
}

// As cards are printed.
bool is_card_shape(const std::string& shape) {
  return shape == "4444" || shape == "465" || shape == "464" || shape == "44443";
}

bool accept_card(std::string_view found, std::string_view before) {
  if (!is_card_number(digits_of(found))) return false;
  return is_card_shape(shape_of(found)) || number_hint(before) != NumberHint::other;
}

// Area, group and serial number as they are given; not the two that advertisements made known.
bool is_ssn(const std::string& digits) {
  const std::string area = digits.substr(0, 3);
  return area != "000" && area != "666" && area < "900" && digits.substr(3, 2) != "00" &&
         digits.substr(5) != "0000" && digits != "078051120" && digits != "219099999";
}

// The Internal Revenue Service's number for those who have no social security number.
bool is_itin(const std::string& digits) {
  const std::string group = digits.substr(3, 2);
  return digits.front() == '9' && ((group >= "50" && group <= "65") || group >= "70") &&
         group != "89" && group != "93";
}

// "ITIN: ", "tax ID ", "Taxpayer identification number "
bool says_taxpayer(std::string_view before) {
  std::string words;
  for (const char c : before) words += static_cast<char>(std::tolower(static_cast<uint8_t>(c)));
  return words.find("itin") != words.npos || words.find("taxpayer i") != words.npos ||
         words.find("tax id") != words.npos;
}

bool accept_ssn(std::string_view found, std::string_view before) {
  return is_ssn(digits_of(found)) && number_hint(before) != NumberHint::other;
}

bool accept_after_ssn_word(std::string_view found, std::string_view before) {
  const std::string digits = digits_of(found);
  if (digits.front() == '9') return is_itin(digits) && says_taxpayer(before);
  return is_ssn(digits) && number_hint(before) == NumberHint::ssn;
}

bool accept_before_ssn_word(std::string_view found, std::string_view /*before*/) {
  return is_ssn(digits_of(found));
}

}  // namespace

std::string digits_of(std::string_view text) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits),
               [](char c) { return c >= '0' && c <= '9'; });
  return digits;
}

std::string shape_of(std::string_view text) {
  std::string shape;
  bool was_digit = false;
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (is_digit && was_digit) {
      ++shape.back();
    } else if (is_digit) {
      shape += '1';
    }
    was_digit = is_digit;
  }
  return shape;
}

std::string linking_words() {
  return R"(["')]? ,? (?: [ ] (?: is | isn't | was | wasn't | as | for | or | not | still | really |
            now | the | a | an | my | your | his | her | their | our | correct | right | new | old |
            best | current | direct | personal | private | work | home | office | main | us | u\.s\. |
            es | mi | ist | meine | est | mon | è | il | mio | mijn | é | o | meu ) ){1,6} [ ] )";
}

std::vector<PatternRule> iban_rules() {
  const std::string word = kWord;
  std::string any;
  for (const IbanLength& row : iban_lengths()) {
    any += (any.empty() ? "" : "|") + ("(?:" + std::string(row.countries)) + ")[0-9]{2}(?&iban){" +
           std::to_string(row.length - 4) + "}";
  }
  // One more character, defined once: in each country's form it would be too long.
  const std::string define =
      "(?(DEFINE) (?<iban> [" + std::string(kSeparators) + "/_]{0,3}+ [A-Z0-9] ) )";
  return {{"iban",
           define + "(?: (?<![" + word + "]) | (?<=iban) ) (?:" + any + ") (?![" + word + "])",
           accept_iban}};
}

std::vector<PatternRule> card_rules() {
  const std::string word = kWord;
  const std::string separators = kSeparators;
  const std::string before = "(?<![" + word + "+]) (?<![" + word + "]-) (?<![0-9][./]) ";
  // Not the end of a longer number in groups.
  const std::string first = "(?<![0-9]{3}[" + separators + "/_]) ";
  // Not the beginning of a list of four digits each.
  const std::string last = "(?! (?: [ ] [0-9a-f]{4,5} ){2} ) ";
  return {{"card",
           before + "(?: [0-9]{13,19}+ | " + first + "[0-9]{4,8}+ (?: [" + separators +
               "/_]{1,3}+ [0-9]{1,13}+ ){1,5} " + last + ") (?![" + word + "])",
           accept_card}};
}

std::vector<PatternRule> ssn_rules() {
  const std::string word = kWord;
  const std::string separators = kSeparators;
  const std::string before = "(?<![" + word + "+/$&]) (?<![" + word + "]-) (?<![0-9][.:]) ";
  const std::string after = "(?![" + word + R"(]) (?! [.:/\-] [0-9] ) )";
  return {{"ssn", before + "[0-9]{3} ([" + separators + "]) [0-9]{2} \\g{-1} [0-9]{4}" + after,
           accept_ssn},
          // SSN-536 22 1234, SSN 536221234
          {"ssn",
           "(?<![" + word + "/$&]) (?<![0-9][.:]) [0-9] (?: [" + separators +
               "/_]{0,3}+ [0-9] ){8}" + after,
           accept_after_ssn_word},
          {"ssn",
           before + "[0-9]{3} [0-9]{2} [0-9]{4}" + after + "(?=" + linking_words() +
               "(?: ssn | social ) (?![" + word + "]) )",
           accept_before_ssn_word}};
}

}  // namespace dbrx
