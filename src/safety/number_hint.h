// What the words before a number say it is.
#pragma once

#include <string_view>

namespace dbrx {

enum class NumberHint { none, phone, card, ssn, other };

// By the last word of `before`, the text in front of a number, that says something ("mobile",
// "invoice"); `other` only by one of the last three. Words before another number say nothing of
// this one.
NumberHint number_hint(std::string_view before);

}  // namespace dbrx
