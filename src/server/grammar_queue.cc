#include "server/grammar_queue.h"

#include <utility>

#include "server/api_error.h"

namespace dbrx {

// Of one task, as long as it waits or runs.
class GrammarQueue::Place {
 public:
  Place(GrammarQueue& queue, uint64_t client) : queue_(queue), client_(client) {
    const std::lock_guard lock(queue.mutex_);
    if (!queue.places_.fits(client, 1)) {
      throw ApiError(429,
                     "too many grammars wait to be compiled, of this client or of all: ask again",
                     "", "rate_limit_exceeded");
    }
    queue.places_.take(client, 1);
  }
  ~Place() {
    const std::lock_guard lock(queue_.mutex_);
    queue_.places_.give_back(client_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  GrammarQueue& queue_;
  const uint64_t client_;
};

void GrammarQueue::post(uint64_t client, std::function<void()> task) {
  workers_.post(
      client, [place = std::make_shared<Place>(*this, client), task = std::move(task)] { task(); });
}

}  // namespace dbrx
