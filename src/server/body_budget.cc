#include "server/body_budget.h"

#include <utility>

namespace dbrx {

BodyBudget::Share::~Share() {
  if (bytes_ > 0) budget_->give_back(client_, bytes_);
}

bool BodyBudget::Share::grow_to(int64_t bytes) {
  if (bytes <= bytes_) return true;
  if (!budget_->take(client_, bytes - bytes_)) return false;
  bytes_ = bytes;
  return true;
}

std::shared_ptr<BodyBudget::Share> BodyBudget::open(std::string client) {
  return std::make_shared<Share>(shared_from_this(), std::move(client));
}

int64_t BodyBudget::n_taken() const {
  std::lock_guard lock(mutex_);
  return taken_;
}

int64_t BodyBudget::n_refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

// A client may have as much as it leaves free: half when it is alone, a third where two take all
// they can, and so on. The next one always finds some.
bool BodyBudget::take(const std::string& client, int64_t bytes) {
  std::lock_guard lock(mutex_);
  const auto found = taken_by_.find(client);
  const int64_t has = found == taken_by_.end() ? 0 : found->second;
  if (has + bytes > bytes_ - taken_ - bytes) {
    ++refused_;
    return false;
  }
  taken_by_[client] = has + bytes;
  taken_ += bytes;
  return true;
}

void BodyBudget::give_back(const std::string& client, int64_t bytes) {
  std::lock_guard lock(mutex_);
  const auto found = taken_by_.find(client);
  taken_ -= bytes;
  found->second -= bytes;
  if (found->second == 0) taken_by_.erase(found);
}

}  // namespace dbrx
