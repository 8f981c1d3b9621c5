#include "telemetry/key_usage.h"

#include <algorithm>

namespace dbrx {
namespace json = boost::json;

void KeyUsage::add(const RequestRecord& record) {
  const std::lock_guard lock(mutex_);
  Sums& sums = sums_[record.key];
  ++sums.requests;
  if (!record.error.empty()) ++sums.errors;
  sums.usage.prompt_tokens += record.usage.prompt_tokens;
  sums.usage.completion_tokens += record.usage.completion_tokens;
  sums.usage.cached_tokens += record.usage.cached_tokens;
  sums.last_at = std::max(sums.last_at, record.at);
}

json::array KeyUsage::json(const std::optional<std::string>& only) const {
  json::array out;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, sums] : sums_) {
    if (only && name != *only) continue;
    using std::chrono::duration;
    out.push_back(
        json::object{{"key", name.empty() ? json::value(nullptr) : json::value(json::string(name))},
                     {"requests", sums.requests},
                     {"errors", sums.errors},
                     {"prompt_tokens", sums.usage.prompt_tokens},
                     {"cached_tokens", sums.usage.cached_tokens},
                     {"completion_tokens", sums.usage.completion_tokens},
                     {"last_at", duration<double>(sums.last_at.time_since_epoch()).count()}});
  }
  return out;
}

}  // namespace dbrx
