#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace dbrx::check_detail {

void fail(const char* file, int line, const std::string& what) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::abort();
}

}  // namespace dbrx::check_detail
