// What somebody may have meant who misspelt a name.
#pragma once

#include <string>
#include <vector>

namespace dbrx {

// The nearest of the known names; empty where none is within three letters.
std::string nearest_name(const std::string& name, const std::vector<std::string>& known);

// "; did you mean --port?" for that name, or nothing.
std::string suggestion(const std::string& name, const std::vector<std::string>& known);

}  // namespace dbrx
