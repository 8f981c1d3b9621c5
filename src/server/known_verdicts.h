// What the safety classifier said of texts lately, so that a conversation which comes back with one
// more turn is not asked about from its beginning, and none of its turns passes unasked.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/recent_map.h"
#include "server/safety_report.h"

namespace dbrx {

class KnownVerdicts {
 public:
  // What a text of a client is known by. Each client has its own, so that no time which an answer
  // takes tells of others' texts. SHA-256, since whoever could make two texts of one key could have
  // one of them pass unasked.
  static std::string key(uint64_t client, std::string_view text);

  // Without the place of the text. From any thread, as keep().
  std::optional<ClassifierVerdict> find(const std::string& key);
  void keep(const std::string& key, const ClassifierVerdict& verdict);

 private:
  static constexpr size_t kMost = 16384;
  static constexpr size_t kMostBytes = size_t{8} << 20;

  std::mutex mutex_;
  RecentMap<ClassifierVerdict> verdicts_{kMost, kMostBytes};
};

}  // namespace dbrx
