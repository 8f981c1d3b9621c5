// How much memory the bodies of requests may take together, and how much of it one client's. Bytes
// count as they arrive: who announces a large body and sends nothing takes nothing. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace dbrx {

class BodyBudget : public std::enable_shared_from_this<BodyBudget> {
 public:
  // In bytes; at least twice the largest body, as one client may have half.
  explicit BodyBudget(int64_t bytes) : bytes_(bytes) {}

  // What one body takes; given back at its end.
  class Share {
   public:
    Share(std::shared_ptr<BodyBudget> budget, std::string client)
        : budget_(std::move(budget)), client_(std::move(client)) {}
    ~Share();
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Whether the body may have so many bytes, of which it has them from then on. Never waits: a
    // body that waits for others to end would keep what it has meanwhile.
    bool grow_to(int64_t bytes);

   private:
    std::shared_ptr<BodyBudget> budget_;
    std::string client_;
    int64_t bytes_ = 0;
  };

  // client: whoever shares what one client may have.
  std::shared_ptr<Share> open(std::string client);

  int64_t n_taken() const;
  int64_t n_refused() const;  // bodies, since the start

 private:
  bool take(const std::string& client, int64_t bytes);
  void give_back(const std::string& client, int64_t bytes);

  const int64_t bytes_;
  mutable std::mutex mutex_;
  int64_t taken_ = 0;
  int64_t refused_ = 0;
  std::map<std::string, int64_t> taken_by_;  // clients that have some
};

}  // namespace dbrx
