// The expressions and checks behind make_pii_filter. Private to it and its tests.
#pragma once

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
// point, a hyphen of any kind.
inline constexpr const char* kSeparators =
    " .\\x{a0}\\x{2009}\\x{202f}\\x{2010}-\\x{2013}\\x{2212}\\-";

// The ASCII digits of the text.
std::string digits_of(std::string_view text);

}  // namespace dbrx
