// A list of words and phrases that must not appear.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "safety/filter.h"

namespace dbrx {

// Finds each phrase as whole words, whatever its case (Unicode's simple case folding); white space
// of a phrase is any 1 to 8 characters of white space in the text. No normalization: a phrase is
// found as its code points are written. Throws Error(invalid_argument) when there are none, or one
// is longer than 256 bytes or no valid UTF-8.
std::shared_ptr<const SafetyFilter> make_keyword_filter(const std::vector<std::string>& phrases);

// The same from a file with one phrase a line; empty lines are none. Throws Error with the path.
std::shared_ptr<const SafetyFilter> load_keyword_filter(const std::string& path);

}  // namespace dbrx
