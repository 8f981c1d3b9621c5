// How many requests may wait, fairly among clients: one that fills its part of the queue leaves the
// others' parts free. Not synchronized.
#pragma once

#include <cstdint>
#include <map>

namespace dbrx {

class QueuePlaces {
 public:
  // bound: places in all, >= 1.
  explicit QueuePlaces(int64_t bound) : bound_(bound) {}

  // The most that a client may have at any time: of many, half of all, so that a flood leaves room
  // for another. Client 0 is nobody in particular, and may have all.
  int64_t most(uint64_t client) const;

  // Whether a client may have n more. Its part is one of equal ones for all that wait, two at
  // least. Who has nothing in line finds its part free even where the others' have filled the
  // queue, so that the bound is passed by one part for each such client at most.
  bool fits(uint64_t client, int64_t n) const;

  // Takes n places whatever fits() says. When it throws (no memory), none.
  void take(uint64_t client, int64_t n);
  void give_back(uint64_t client);  // one

  int64_t n_taken() const { return n_taken_; }

 private:
  int64_t bound_;
  int64_t n_taken_ = 0;
  std::map<uint64_t, int64_t> taken_;  // by clients that have some
};

}  // namespace dbrx
