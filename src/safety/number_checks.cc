#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "safety/pii.h"
#include "safety/pii_rules.h"

namespace dbrx {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr std::array kIbanLengths = {
    IbanLength{15, "NO"},
    IbanLength{16, "BE"},
    IbanLength{18, "DK|FI|FO|GL|NL|SD|FK"},
    IbanLength{19, "MK|SI"},
    IbanLength{20, "AT|BA|EE|KZ|LT|LU|XK|MN"},
    IbanLength{21, "CH|HR|LI|LV"},
    IbanLength{22, "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA"},
    IbanLength{23, "AE|GI|IL|IQ|OM|SO|TL"},
    IbanLength{24, "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG"},
    IbanLength{25, "LY|PT|ST"},
    IbanLength{26, "IS|TR"},
    IbanLength{27, "BI|DJ|FR|GR|IT|MC|MR|SM"},
    IbanLength{28, "AL|AZ|BY|CY|DO|GT|HN|HU|LB|NI|PL|SV"},
    IbanLength{29, "BR|EG|PS|QA|UA"},
    IbanLength{30, "JO|KW|MU|YE"},
    IbanLength{31, "MT|SC"},
    IbanLength{32, "LC"},
    IbanLength{33, "RU"},
};

}  // namespace

std::span<const IbanLength> iban_lengths() { return kIbanLengths; }

bool satisfies_luhn(std::string_view digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool is_doubled = (digits.size() - i) % 2 == 0;
    const int value = (digits[i] - '0') * (is_doubled ? 2 : 1);
    sum += value / 10 + value % 10;
  }
  return sum % 10 == 0;
}

bool is_card_number(std::string_view digits) {
  if (digits.size() < 13 || digits.size() > 19 || !satisfies_luhn(digits)) return false;
  const auto begins_with_one_of = [&](std::initializer_list<std::string_view> beginnings) {
    return std::any_of(beginnings.begin(), beginnings.end(),
                       [&](std::string_view begin) { return digits.starts_with(begin); });
  };
  switch (digits.size()) {
    case 13:
      return begins_with_one_of({"4", "50", "6"});  // Visa of old, Maestro
    case 14:
      return begins_with_one_of({"30", "36", "38", "39", "50", "6"});  // Diners, Maestro
    case 15:
      // American Express, JCB of old, Maestro
      return begins_with_one_of({"34", "37", "1800", "2131", "50", "56", "57", "58", "6"});
    case 16:  // all major industries of cards; 2 only for Mastercard and Mir
      return begins_with_one_of({"3", "4", "5", "6", "2200", "2201", "2202", "2203", "2204"}) ||
             (digits.substr(0, 4) >= "2221" && digits.substr(0, 4) <= "2720");
    default:
      return begins_with_one_of({"3", "4", "5", "6"});
  }
}

bool is_iban(std::string_view text) {
  if (text.size() < 4) return false;
  std::string upper;
  for (const char c : text) upper += static_cast<char>(std::toupper(static_cast<uint8_t>(c)));
  const std::string_view country = std::string_view(upper).substr(0, 2);
  const auto row = std::find_if(kIbanLengths.begin(), kIbanLengths.end(), [&](const auto& length) {
    const size_t at = length.countries.find(country);
    return at != std::string_view::npos && at % 3 == 0;
  });
  if (row == kIbanLengths.end() || row->length != upper.size()) return false;
  std::rotate(upper.begin(), upper.begin() + 4, upper.end());
  int rest = 0;
  for (const char c : upper) {
    if (std::isalnum(static_cast<uint8_t>(c)) == 0) return false;
    rest = is_digit(c) ? (rest * 10 + (c - '0')) % 97 : (rest * 100 + (c - 'A' + 10)) % 97;
  }
  return rest == 1;
}

}  // namespace dbrx
