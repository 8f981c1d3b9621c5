// Words that say what a number beside them is: data of number_hint.
#pragma once

#include <string_view>

#include "safety/number_hint.h"

namespace dbrx {

// What the word says, which is in lower case as far as it is ASCII: whole words first, then parts
// of words ("telefonnummer", "电话号码是").
NumberHint hint_of_word(std::string_view word);

// my, your, new, ...: before "number" they make it one that is called.
bool makes_number_personal(std::string_view word);

// number, nummer, número, no, ...
bool is_number_word(std::string_view word);

}  // namespace dbrx
