// The last requests, newest first, in bounded memory. Any thread.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "telemetry/request_record.h"

namespace dbrx {

struct RecentLimits {
  size_t max_requests = 1000;  // 0: none are kept
  size_t max_bytes = 32 << 20;
  bool texts = true;            // prompts and answers too
  size_t max_text = 256 << 10;  // bytes of the input, and of each answer
};

struct RecentQuery {
  size_t limit = 50;
  int64_t after = std::numeric_limits<int64_t>::max();  // a serial: those before that one
  std::string search;  // in any of the texts and names, letters of either case
};

class RecentRequests {
 public:
  explicit RecentRequests(RecentLimits limits) : limits_(limits) {}

  const RecentLimits& limits() const { return limits_; }

  // Gives it its serial.
  void add(RequestRecord record);

  struct Page {
    std::vector<std::shared_ptr<const RequestRecord>> requests;
    bool has_more = false;
  };
  // Takes time with a search: tens of megabytes are looked through.
  Page find(const RecentQuery& query) const;

 private:
  struct Entry {
    std::shared_ptr<const RequestRecord> record;
    size_t bytes = 0;
  };

  RecentLimits limits_;
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // newest first
  int64_t n_added_ = 0;
  size_t bytes_ = 0;
};

// As docs/api.md has it.
boost::json::object request_json(const RequestRecord& record);

}  // namespace dbrx
