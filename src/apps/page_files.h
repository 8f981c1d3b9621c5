// The Playground's files, which the build puts into the program (cmake/page.cmake).
#pragma once

#include <span>

#include "server/page.h"

namespace dbrx {

std::span<const PageFile> page_files();

}  // namespace dbrx
