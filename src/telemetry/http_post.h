// A small HTTP client.
#pragma once

#include <chrono>
#include <string>

namespace dbrx {

// Posts JSON and returns the status of the answer. Throws Error(unavailable) when there is none
// within the time.
int http_post(const std::string& host, const std::string& port, const std::string& path,
              std::string body, std::chrono::milliseconds time);

}  // namespace dbrx
