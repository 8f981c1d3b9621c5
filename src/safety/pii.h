// Personal data that has a form: e-mail addresses, phone numbers, card numbers, IBANs and social
// security numbers of the USA. Names, addresses and birth dates have none and are not found.
#pragma once

#include <memory>
#include <string_view>

#include "safety/filter.h"

namespace dbrx {

// The filter "pii" with the categories email, phone, card, iban and ssn. Cards satisfy Luhn's
// formula and begin as some issuer's do, IBANs have their country's length and satisfy mod 97.
// Digits without a form of their own are a phone or social security number only after a word that
// says so ("call", "SSN"), and none after one that says otherwise ("order", "ISBN").
std::shared_ptr<const SafetyFilter> make_pii_filter();

// Of digits alone: ISO/IEC 7812-1, annex B.
bool satisfies_luhn(std::string_view digits);

// 13 to 19 digits that satisfy Luhn's formula and begin as a payment card of this length does.
bool is_card_number(std::string_view digits);

// Of letters in either case and digits, without spaces: country and length (ISO 13616), mod 97
// (ISO/IEC 7064).
bool is_iban(std::string_view text);

}  // namespace dbrx
