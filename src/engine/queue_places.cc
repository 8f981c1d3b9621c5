#include "engine/queue_places.h"

#include <algorithm>

#include "base/error.h"

namespace dbrx {

int64_t QueuePlaces::most(uint64_t client) const {
  return client == 0 ? bound_ : std::max<int64_t>(bound_ / 2, 1);
}

bool QueuePlaces::fits(uint64_t client, int64_t n) const {
  if (client == 0) return n_taken_ + n <= bound_;
  const auto found = taken_.find(client);
  const int64_t mine = found == taken_.end() ? 0 : found->second;
  const int64_t n_clients = static_cast<int64_t>(taken_.size()) + (mine == 0 ? 1 : 0);
  const int64_t part = std::max<int64_t>(bound_ / std::max<int64_t>(n_clients, 2), 1);
  return mine + n <= part && (mine == 0 || n_taken_ + n <= bound_);
}

void QueuePlaces::take(uint64_t client, int64_t n) {
  taken_[client] += n;
  n_taken_ += n;
}

void QueuePlaces::give_back(uint64_t client) {
  const auto found = taken_.find(client);
  CHECK(found != taken_.end());
  --n_taken_;
  if (--found->second == 0) taken_.erase(found);
}

}  // namespace dbrx
