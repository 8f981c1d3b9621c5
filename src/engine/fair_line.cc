#include "engine/fair_line.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/error.h"

namespace dbrx {
namespace {

auto place(const Sequence* s) {
  return std::tuple(s->owner->request->priority, s->owner->arrival, s->choice);
}

int32_t priority_of(const Client& client) {
  return client.waiting.front()->owner->request->priority;
}

bool is_before(const Sequence* a, const Sequence* b) { return place(a) < place(b); }

}  // namespace

void FairLine::add(Sequence& sequence) {
  Client& client = find(sequence.owner->request->client);
  in_line_.reserve(in_line_.size() + 1);  // all that may throw comes first
  auto& line = client.waiting;
  line.insert(std::upper_bound(line.begin(), line.end(), &sequence, is_before), &sequence);
  if (line.front() == &sequence) {
    const double least = least_served(sequence.owner->request->priority, &client);
    client.served = std::max(client.served, least);
  }
  if (line.size() == 1) in_line_.push_back(&client);
  sequence.client = &client;
  ++client.n_sequences;
  ++n_waiting_;
}

Client& FairLine::find(uint64_t id) {
  const auto known = clients_.find(id);
  if (known != clients_.end()) return known->second;
  if (clients_.size() >= n_bearable_) forget_idle();
  return clients_[id];
}

// Where a client that comes to the line with this priority begins. When nobody is in its way,
// whoever left the line last tells.
double FairLine::least_served(int32_t priority, const Client* except) const {
  const Client* least = nullptr;
  for (const Client* client : in_line_) {
    if (client == except || priority_of(*client) > priority) continue;
    if (least == nullptr || client->served < least->served) least = client;
  }
  if (least == nullptr) least = last_;
  return least == nullptr ? 0 : least->served;
}

// Drops clients that would begin like new ones.
void FairLine::forget_idle() {
  const double least = least_served(std::numeric_limits<int32_t>::max(), nullptr);
  std::erase_if(clients_, [&](const auto& entry) {
    const Client& client = entry.second;
    return client.n_sequences == 0 && client.served <= least && &client != last_;
  });
  n_bearable_ = std::max<size_t>(64, 2 * clients_.size());
}

Sequence* FairLine::next() const {
  if (in_line_.empty()) return nullptr;
  const auto turn = [](const Client* client) {
    return std::tuple(priority_of(*client), client->served,
                      client->waiting.front()->owner->arrival);
  };
  return (*std::ranges::min_element(in_line_, {}, turn))->waiting.front();
}

void FairLine::take(Sequence& sequence) {
  Client& client = *sequence.client;
  const auto at = std::find(client.waiting.begin(), client.waiting.end(), &sequence);
  CHECK(at != client.waiting.end());
  client.waiting.erase(at);
  if (client.waiting.empty()) std::erase(in_line_, &client);
  last_ = &client;
  --n_waiting_;
}

void FairLine::charge(Sequence& sequence, double n_tokens) {
  sequence.client->served += n_tokens / static_cast<double>(sequence.owner->request->client_weight);
}

void FairLine::leave(Sequence& sequence) { --sequence.client->n_sequences; }

}  // namespace dbrx
