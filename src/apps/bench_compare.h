// `dbrx bench compare A.json B.json`: two reports of `dbrx bench --json`, row by row.
#pragma once

#include <string>

namespace dbrx {

// Prints. Throws Error for a file that is no report.
void compare_reports(const std::string& a_path, const std::string& b_path);

}  // namespace dbrx
