// Whose turn it is: the sequences that have not run yet, in a line for each client.
//
// Better priorities come first. Among clients the one that was served least is next, by tokens
// computed for it over its weight; within a client, first come, first served. A client that comes
// back to the line begins where the least served of those in it stands, so it gets no credit for
// the time in which it wanted nothing, and keeps what it owes. Whoever waits with a lower priority
// does not count for that, and the time spent so gives no credit for a better one. (The virtual
// token counter of Sheng et al., "Fairness in Serving Large Language Models", 2024.)
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "engine/sequence.h"

namespace dbrx {

struct Client {
  double served = 0;              // tokens / weight, in a time of its own: see above
  int64_t n_sequences = 0;        // that have not ended
  int64_t n_running = 0;          // of these, by the scheduler's count
  std::deque<Sequence*> waiting;  // that have not run, by priority, then arrival, then choice
};

class FairLine {
 public:
  // Puts a new sequence in its client's line. Without memory it throws and nothing has changed.
  void add(Sequence& sequence);

  // Whose turn it is; null when nobody waits.
  Sequence* next() const;

  // Takes a sequence out of the line, because it starts or ends.
  void take(Sequence& sequence);

  // Tells that tokens of a sequence are computed, or work of that worth done for it.
  static void charge(Sequence& sequence, double n_tokens);

  // A sequence that is not in the line has ended.
  static void leave(Sequence& sequence);

  int64_t size() const { return n_waiting_; }
  int64_t n_clients() const { return static_cast<int64_t>(clients_.size()); }

 private:
  Client& find(uint64_t id);
  double least_served(int32_t priority, const Client* except) const;
  void forget_idle();

  std::unordered_map<uint64_t, Client> clients_;  // those in the engine, and those that owe
  std::vector<Client*> in_line_;                  // that have waiting ones
  Client* last_ = nullptr;                        // whose sequence left the line last
  size_t n_bearable_ = 64;                        // clients before idle ones are looked for
  int64_t n_waiting_ = 0;
};

}  // namespace dbrx
