#include <algorithm>
#include <cctype>

#include "safety/number_hint.h"
#include "safety/pii_rules.h"

namespace dbrx {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

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

// Four numbers up to 255: 192.168.10.1
bool is_ip_address(std::string_view text) {
  if (std::count(text.begin(), text.end(), '.') != 3) return false;
  int number = 0;
  for (const char c : text) {
    if (c != '.' && !is_digit(c)) return false;
    number = c == '.' ? 0 : number * 10 + (c - '0');
    if (number > 255) return false;
  }
  return true;
}

// "000-0000", "0123456789": it stands for a number.
bool is_placeholder(std::string_view text) {
  return text.find_first_of("123456789") == std::string_view::npos || text == "0123456789";
}

// 2024 2025 2026
bool is_years(std::string_view text) {
  const std::string shape = shape_of(text);
  const std::string digits = digits_of(text);
  for (size_t i = 0; i < shape.size(); ++i) {
    const std::string century = digits.substr(4 * i, 2);
    if (shape[i] != '4' || (century != "19" && century != "20")) return false;
  }
  return shape.size() >= 2;
}

// 20241126, 2024.1126
bool is_compact_date(std::string_view text) {
  const std::string digits = digits_of(text);
  if (digits.size() != 8 || text.size() > 9) return false;
  const std::string century = digits.substr(0, 2);
  const std::string month = digits.substr(4, 2);
  const std::string day = digits.substr(6);
  return (century == "19" || century == "20") && month >= "01" && month <= "12" && day >= "01" &&
         day <= "31";
}

// 2 500 000
bool is_round_number(std::string_view text) {
  const std::string shape = shape_of(text);
  return shape.size() >= 3 && shape.front() <= '3' && text.ends_with("000") &&
         std::all_of(shape.begin() + 1, shape.end(), [](char n) { return n == '3'; });
}

bool is_something_else(std::string_view found) {
  return has_date(found) || is_ip_address(found) || is_placeholder(found) || is_years(found) ||
         is_compact_date(found) || is_round_number(found);
}

// A number that begins with +. "+ 777 8888" may be a sum, "+48.858370" is a place.
bool accept_international(std::string_view found, std::string_view before) {
  found = found.substr(0, found.find_first_of("#,;DEPRXdeprx"));  // the extension
  const size_t n = digits_of(found).size();
  const std::string shape = shape_of(found);
  if (n < 7 || n > 15 || shape.back() < '2') return false;
  const bool is_bare = shape.size() == 1;
  const bool is_term = found.starts_with("+ ") && (is_bare || n < 9);
  const bool is_decimal = shape.size() == 2 && found.find('.') != found.npos && n < 11;
  const bool is_doubtful = is_term || is_decimal || (is_bare && n < 9);
  return !is_doubtful || number_hint(before) == NumberHint::phone;
}

// A national number in a form of its own.
bool accept_national(std::string_view found, std::string_view before) {
  if (is_something_else(found)) return false;
  const NumberHint hint = number_hint(before);
  return hint != NumberHint::other && hint != NumberHint::ssn;
}

// A national number with the prefix 0.
bool accept_trunk(std::string_view found, std::string_view before) {
  const size_t n = digits_of(found).size();
  const std::string shape = shape_of(found);
  const bool is_other = shape == "54" || shape == "324";  // a ZIP code, a social security number
  return n >= 9 && n <= 12 && !is_other && accept_national(found, before);
}

// A national number with its area in parentheses.
bool accept_area(std::string_view found, std::string_view before) {
  const size_t n = digits_of(found).size();
  return n >= 8 && n <= 12 && accept_national(found, before);
}

// A number that begins with 00 and a country's code.
bool accept_double_zero(std::string_view found, std::string_view before) {
  const size_t n = digits_of(found).size();
  return n >= 10 && n <= 17 && accept_national(found, before);
}

// Digits in any groups.
bool accept_after_phone_word(std::string_view found, std::string_view before) {
  const std::string shape = shape_of(found);
  const bool is_decimal = shape.size() == 2 && shape.back() > '4' &&
                          found.find_first_not_of("0123456789.") == found.npos;
  return !is_decimal && number_hint(before) == NumberHint::phone && !is_something_else(found);
}

bool accept_before_phone_word(std::string_view found, std::string_view before) {
  return number_hint(before) == NumberHint::none && !is_something_else(found);
}

// A form that other numbers have, too: only where it is all of a cell, a value or an item.
bool accept_field(std::string_view found, std::string_view before) {
  if (number_hint(before) != NumberHint::none || is_something_else(found)) return false;
  if (before.ends_with(' ')) before.remove_suffix(1);
  return before.empty() || std::string_view(";,|:\"'>(=[{\t\n").find(before.back()) != before.npos;
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
  const std::string word = kWord;
  const std::string separators = kSeparators;
  const std::string s = "[" + separators + "/]";
  const std::string between = "[" + separators + "/()_]{0,3}+";
  const std::string before = "(?<![" + word + "+/#$&]) (?<![" + word + "]-) (?<![0-9][.:]) ";
  // Not the middle of a longer number in groups, or of a British IBAN.
  const std::string first =
      before + "(?<![0-9][" + separators + "]) (?<![a-z]{2}[0-9]{2}[ ][a-z]{4}[ ]) ";
  const std::string extension =
      "(?: [,;]? [ ]? (?: x | extn?\\.? | ext= | extension | \\# | durchwahl | poste | ramal ) [ "
      "]? "
      "[0-9]{1,6}+ )?";
  const std::string after = "(?![" + word + R"(]) (?! [.:/\-] [0-9] ) )";
  const std::string last =
      "(?! [ .\\-] [0-9]{3} | (?: [ ] [0-9]{2} ){2} (?![0-9]) )";  // no more groups
  // The end of a cell, a value or an item, and not of a sum.
  const std::string field_end =
      R"((?= [ ]{0,2} (?: [;|"'<)\]}\t\r\n] | , (?![0-9]{1,2}(?![0-9])) | [.!?] (?![0-9]) | \z ) ) )";
  return {
      // North America: (415) 555-2671, 1-415-555-2671
      {"phone",
       before + "(?: (?: \\+ | 00 )? 1 " + s + "{0,3} )? (?: \\( [2-9][0-9]{2} \\) " + s +
           "{0,3} | [2-9][0-9]{2} " + s + "{1,3} ) [2-9][0-9]{2} " + s + "{0,3} [0-9]{4}" +
           extension + after,
       accept_national},
      // +49 30 1234567, +44 (0)20 7946 0958
      {"phone",
       "(?<![" + word + "+]) \\(? \\+ [ ]? \\(? [1-9] (?: " + between + "[0-9] ){6,14}" +
           extension + after,
       accept_international},
      {"phone", "(?<=wa\\.me/) [1-9][0-9]{7,14}+" + after},
      // 0049 30 1234567
      {"phone",
       first + "00 " + s + "? [1-9][0-9]{0,2} (?: " + s + "{1,3} [0-9]{1,12}+ ){1,6} " + extension +
           after + last,
       accept_double_zero},
      // 030 1234567, (020) 7946 0958, 01 23 45 67 89, 07700900123
      {"phone",
       first + "\\(? 0 \\)? [1-9][0-9]{0,4} \\)? (?: " + s + "{1,3} [0-9]{2,8}+ ){1,5}" +
           extension + after + last,
       accept_trunk},
      // (0161)4960453
      {"phone", first + "\\( 0[1-9][0-9]{0,4} \\) [0-9]{4,8}" + after, accept_trunk},
      {"phone", first + "0[1-9][0-9]{8,9}" + after, accept_national},
      // Brazil, Mexico, Poland, Russia: (11) 91234-5678, (22) 123 45 67, 8 (912) 345-67-89
      {"phone",
       first + "(?: [78] [ ]? )? \\( [1-9][0-9]{1,3} \\) (?: " + s + "{0,3} [0-9]{2,5}+ ){2,4}" +
           after,
       accept_area},
      // India: 98765 43210. Brazil: 11 91234-5678. China: 138 1234 5678.
      {"phone",
       first + "(?: (?: 0 [ ]? | 91 [ \\-] )? [6-9][0-9]{4} " + s +
           "{1,3} [0-9]{5} | 91 [ \\-] [6-9]"
           "[0-9]{9} | [1-9]{2} [ ] 9[0-9]{4} - [0-9]{4} | 1" +
           "[3-9][0-9] ([ \\-]) [0-9]{4} \\g{-1} [0-9]{4} )" + after,
       accept_national},
      // Spain: 612 34 56 78. Turkey, Russia: 532 123 45 67.
      {"phone",
       first +
           "(?: [78] [ \\-] )? (?: [6-9][0-9]{2} [ .\\-] [0-9]{2} | [2-9][0-9]{2} [ .\\-] [0-9]{3} "
           ") "
           "(?: [ .\\-] [0-9]{2} ){2}" +
           after,
       accept_national},
      // Poland, Portugal, Italy, Mexico, ...: 608 576 491, 347 150 4145, 347 1504145, 55 1234 5678
      {"phone",
       first +
           "(?: [5-9][0-9]{2} ([ \\-]) [0-9]{3} \\g{-1} [0-9]{3} | [1-9][0-9]{2} [ \\-] [0-9]{3} "
           "[ \\-]? [0-9]{4} | [1-9][0-9] ([ \\-]) [0-9]{4} \\g{-1} [0-9]{4} )" +
           field_end,
       accept_field},
      // Cell#4155552671, phone: 55 51 23 45
      {"phone",
       "(?<![" + word + "+/$&]) (?<![" + word + "]-) (?<![0-9][.:" + separators +
           "]) \\(? [0-9] (?: " + between + "[0-9] ){6,14}" + extension + after,
       accept_after_phone_word},
      {"phone",
       first + "\\(? [0-9] (?: " + between + "[0-9] ){7,12} (?= (?:" + linking_words() +
           R"((?: phone | mobile | cell | cellphone | landline | fax | telephone | whatsapp |
              cel | celular | móvil | handy | cellulare | portable | mobiel | (?<= my[ ] |
              your[ ] | his[ ] | her[ ] | their[ ] | our[ ] | right[ ] | correct[ ] | new[ ] | old[ ] |
              best[ ] | direct[ ] | current[ ] | personal[ ] | private[ ] | work[ ] | home[ ] |
              office[ ] ) number ) | [ ]? [(\[\-/] [ ]? (?: mobile | cell | home | work | office | fax | phone |
              landline | whatsapp ) | [ ] (?: mobile | cell | home | work | office | fax | phone ) (?= [ ]? (?:
              [,;.\r\n] | \z ) ) ) (?![)" +
           word + "]) )",
       accept_before_phone_word},
      {"phone", "(?<=\\n) [0-9]{9,12}+ (?= [ ]? (?: \\r | \\n | \\z ) )", accept_own_line},
  };
}

}  // namespace dbrx
