// Where calls wait for their grammars to be compiled, which may take seconds. Clients take turns,
// and of each one grammar is compiled at a time, so that whoever comes with another finds a thread
// free, or in a moment.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "base/fair_workers.h"
#include "engine/queue_places.h"

namespace dbrx {

class GrammarQueue {
 public:
  // Calls that may wait or have their turn at a time. Each keeps what it was asked.
  static constexpr int64_t kPlaces = 64;

  // client: Identity::id. Throws ApiError(429) when too many wait, of this client or of all. From
  // any thread. The task must not throw, and looks itself whether somebody still waits for it.
  void post(uint64_t client, std::function<void()> task);

  // Tasks that have not begun. From any thread.
  int64_t n_waiting() const { return workers_.n_waiting(); }

  // Waits for all tasks; later ones are dropped.
  void end() { workers_.end(); }

 private:
  // Each may keep a core busy for two seconds.
  static constexpr size_t kAtOnce = 2;
  class Place;

  std::mutex mutex_;
  QueuePlaces places_{kPlaces};
  FairWorkers workers_{"grammar", kAtOnce, /*n_per_client=*/1};
};

}  // namespace dbrx
