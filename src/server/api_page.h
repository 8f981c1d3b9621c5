// For tests: the lists of parameters in docs/api.md.
#pragma once

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

namespace dbrx {

// Empty unless the tests run in the repository's root.
inline std::string api_page() {
  std::ifstream file("docs/api.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

// What stands in backquotes.
inline std::set<std::string> quoted_names(const std::string& text) {
  std::set<std::string> names;
  std::istringstream pieces(text);
  std::string outside, inside;
  while (std::getline(pieces, outside, '`') && std::getline(pieces, inside, '`')) {
    names.insert(inside);
  }
  return names;
}

// Those of the first cells of all tables whose first cells begin with one.
inline std::set<std::string> names_of_rows(const std::string& section) {
  std::string cells;
  for (size_t at = 0; (at = section.find("\n| `", at)) != std::string::npos;) {
    const size_t end = section.find(" |", at + 3);
    cells += section.substr(at, end - at);
    at = end;
  }
  return quoted_names(cells);
}

}  // namespace dbrx
