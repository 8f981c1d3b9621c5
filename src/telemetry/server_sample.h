// What the server tells of itself beside requests and the engine, at one moment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dbrx {

// A file, or several that belong together, which the server reads again when it changes.
struct FileSample {
  std::string name;  // of what it has: "keys"
  bool last_read_successful = true;
  int64_t failed_reads = 0;  // after the start
};

struct ServerSample {
  bool is_ready = true;
  int64_t texts_waiting = 0;     // tasks that no text worker has begun
  int64_t grammars_waiting = 0;  // requests whose grammar has not begun to be compiled
  std::vector<FileSample> files;
  std::optional<int64_t> certificate_expiry;  // seconds since 1970; none: plain HTTP
};

}  // namespace dbrx
