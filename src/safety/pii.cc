#include "safety/pii.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "safety/number_hint.h"
#include "safety/pii_rules.h"

namespace dbrx {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Countries of one length of IBAN (ISO 13616's registry).
struct IbanLength {
  size_t length;
  std::string_view countries;  // two letters each, separated by |
};
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

bool accept_card(std::string_view found, std::string_view before) {
  const std::string digits = digits_of(found);
  if (!is_card_number(digits)) return false;
  const bool is_grouped = digits.size() != found.size();
  return is_grouped || number_hint(before) != NumberHint::other;
}

bool accept_ssn(std::string_view /*found*/, std::string_view before) {
  const NumberHint hint = number_hint(before);
  return hint == NumberHint::none || hint == NumberHint::ssn;
}

bool accept_bare_ssn(std::string_view /*found*/, std::string_view before) {
  return number_hint(before) == NumberHint::ssn;
}

class PiiFilter : public SafetyFilter {
 public:
  explicit PiiFilter(const std::vector<PatternRule>& rules) : pattern_(rules) {}
  std::string_view name() const override { return "pii"; }
  SafetySearch next(std::string_view text, size_t from, bool is_end) const override {
    return pattern_.next(text, from, is_end);
  }

 private:
  Pattern pattern_;
};

}  // namespace

std::string digits_of(std::string_view text) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), is_digit);
  return digits;
}

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
      return begins_with_one_of({"30", "36", "38", "39", "50"});  // Diners, Maestro
    case 15:
      return begins_with_one_of({"34", "37", "1800", "2131"});  // American Express, JCB of old
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

std::vector<PatternRule> email_rules() {
  // At most 64 bytes of name and 9 labels of domain. Not the user of a URL (ssh://git@...) or of a
  // path (git@host.com:group/project), nor the name of an image (icon@2x.png).
  return {{"email", R"((?<![\w.%+\-]) (?<!://) [\w.%+\-] [\w.%+'\-]{0,63}+ @ (?![0-9]+x\.)
                       (?: [\p{L}\p{N}] (?: [\p{L}\p{N}\-]{0,61} [\p{L}\p{N}] )? \. ){1,8}
                       (?: xn--[a-z0-9\-]{2,40} | \p{L}{2,24} )
                       (?![\w@]) (?! : [\w.~\-]{0,40} / ))"}};
}

std::vector<PatternRule> iban_rules() {
  std::string any;
  for (const IbanLength& row : kIbanLengths) {
    any += (any.empty() ? "" : "|") + ("(?:" + std::string(row.countries)) + ")[0-9]{2}(?:[" +
           kSeparators + "]?+[A-Z0-9]){" + std::to_string(row.length - 4) + "}";
  }
  return {{"iban", "(?<!\\w) (?:" + any + ") (?!\\w)", accept_iban}};
}

std::vector<PatternRule> card_rules() {
  const std::string separator = "([" + std::string(kSeparators) + "]{1,3}+)";
  return {{"card",
           R"((?<![\w+]) (?<!\w-) (?<![0-9][,:/]) (?<![0-9][)" + std::string(kSeparators) +
               R"(]) (?: [0-9]{13,19}+ | [0-9]{4,6}+ )" + separator +
               R"([0-9]{2,7}+ (?: \g{-1} [0-9]{1,7}+ ){1,3} ) (?!\w))",
           accept_card}};
}

std::vector<PatternRule> ssn_rules() {
  const std::string separator = "([" + std::string(kSeparators) + "])";
  const std::string before = R"((?<![\w+/$&]) (?<!\w-) (?<![0-9][.,:]) (?! 000 | 666 | 9 ) )";
  const std::string after = R"( (?!\w) (?! [.,:/\-] [0-9] ))";
  return {
      {"ssn", before + "[0-9]{3}" + separator + "(?!00) [0-9]{2} \\g{-1} (?!0000) [0-9]{4}" + after,
       accept_ssn},
      {"ssn", before + "[0-9]{3} (?!00) [0-9]{2} (?!0000) [0-9]{4}" + after, accept_bare_ssn}};
}

std::shared_ptr<const SafetyFilter> make_pii_filter() {
  std::vector<PatternRule> rules;
  for (const auto& kind : {email_rules(), iban_rules(), card_rules(), ssn_rules(), phone_rules()}) {
    rules.insert(rules.end(), kind.begin(), kind.end());
  }
  return std::make_shared<PiiFilter>(rules);
}

}  // namespace dbrx
