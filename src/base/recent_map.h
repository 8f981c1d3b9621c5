// Values by key, of which those used last are kept: a bounded cache. Not synchronized.
#pragma once

#include <cstddef>
#include <iterator>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace dbrx {

template <typename Value>
class RecentMap {
 public:
  // Of so many values of so many bytes in all, as put() is told.
  RecentMap(size_t most, size_t most_bytes) : most_(most), most_bytes_(most_bytes) {}

  // Null when it is not there; else it is the one used last. Valid until the next put().
  Value* find(std::string_view key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, found->second);
    return &found->second->value;
  }

  // In place of one with the same key. What would need all the room is not kept.
  void put(std::string key, Value value, size_t n_bytes) {
    if (n_bytes > most_bytes_) return;
    std::list<Entry> added;
    added.push_front({std::move(key), std::move(value), n_bytes});
    if (const auto known = by_key_.find(added.front().key); known != by_key_.end()) {
      drop(known->second);
    }
    by_key_.emplace(added.front().key, added.begin());
    n_bytes_ += n_bytes;
    recent_.splice(recent_.begin(), added);
    while (recent_.size() > most_ || n_bytes_ > most_bytes_) drop(std::prev(recent_.end()));
  }

 private:
  struct Entry {
    std::string key;
    Value value;
    size_t n_bytes;
  };

  void drop(typename std::list<Entry>::iterator entry) {
    n_bytes_ -= entry->n_bytes;
    by_key_.erase(entry->key);
    recent_.erase(entry);
  }

  const size_t most_;
  const size_t most_bytes_;
  std::list<Entry> recent_;  // the one used last in front
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> by_key_;
  size_t n_bytes_ = 0;
};

}  // namespace dbrx
