// What each key has used since the start. Any thread.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "telemetry/request_record.h"

namespace dbrx {

class KeyUsage {
 public:
  void add(const RequestRecord& record);

  // By name, as docs/api.md has it. only: of this key alone. A server without keys counts under the
  // empty name.
  boost::json::array json(const std::optional<std::string>& only) const;

 private:
  struct Sums {
    int64_t requests = 0;
    int64_t errors = 0;  // of these
    Usage usage;
    std::chrono::system_clock::time_point last_at;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Sums> sums_;
};

}  // namespace dbrx
