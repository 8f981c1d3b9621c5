// The web page that the program carries: files that a browser fetches without a key, since they say
// no more than the source does. What the page then asks for needs a key like everybody's requests.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "server/router.h"

namespace dbrx {

// A file as it was built, and the same in gzip; cmake/page.cmake makes their table. What it points
// to lives as long as the program.
struct PageFile {
  std::string_view path;  // "/" or "/assets/NAME"; names hold a hash of what is in the file
  std::string_view type;  // for Content-Type
  std::string_view hash;  // hexadecimal, of plain
  std::string_view plain;
  std::string_view gzip;
};

// One route for "/" and one for "/assets/{file}"; none without files.
std::vector<Route> page_routes(std::span<const PageFile> files);

}  // namespace dbrx
