// How much each client may use in a minute: token buckets. Every limit is a bucket that holds one
// minute's worth, is full at first and fills evenly, so who was quiet may use a minute's worth at
// once. May be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/http.h"
#include "server/identity.h"

namespace dbrx {

// What a request asks for.
struct TokenDemand {
  int64_t input = 0;
  int64_t output = 0;  // at most
  // The client named the output itself, by the field that `output_field` names. Otherwise it is
  // all that the context has room for, and gets what the bucket has left of that.
  bool output_is_explicit = true;
  std::string input_field;  // for messages: "messages"
  std::string output_field = {};
};

class RateLimits {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Clock = std::function<Time()>;
  explicit RateLimits(Clock clock = std::chrono::steady_clock::now) : clock_(std::move(clock)) {}

  // The tokens of a request until it ends. Gives back what was not used, all of it unless settled.
  class Reservation {
   public:
    Reservation(RateLimits& limits, std::shared_ptr<const Identity> client, int64_t input,
                int64_t output)
        : limits_(limits), client_(std::move(client)), input_(input), output_(output) {}
    ~Reservation() { settle(0, 0); }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

    // Tokens that the answer may have: as many as were asked for, or what was left.
    int64_t output() const { return output_; }

    // What was used; only the first call counts.
    void settle(int64_t input, int64_t output);

   private:
    RateLimits& limits_;
    std::shared_ptr<const Identity> client_;
    int64_t input_, output_;
    std::atomic<bool> settled_{false};
  };

  // Counts one request. Throws ApiError(429) that says which limit was met and when to come back.
  void take_request(const Identity& client);

  // Takes the tokens of a request, or none of them. Throws ApiError: 429 as above, 400 for what
  // exceeds a whole minute's worth and would never be taken. Null for a client without such limits.
  std::unique_ptr<Reservation> reserve(const std::shared_ptr<const Identity>& client,
                                       const TokenDemand& wanted);

  // What is left, in the headers of OpenAI (x-ratelimit-...) or of Anthropic
  // (anthropic-ratelimit-...). Empty for a client without limits.
  std::vector<HttpHeader> headers(const Identity& client, bool anthropic);

 private:
  static constexpr size_t kKinds = 3;         // requests, input tokens, output tokens
  using Levels = std::array<double, kKinds>;  // of the buckets; below 0: owed
  struct Account {
    Levels levels = {};
    Time filled_at;
  };
  // Identity::id, and what the buckets are of: when limits change, requests that began under the
  // old ones go on beside those under the new.
  using AccountKey = std::pair<uint64_t, ClientLimits>;

  Levels& levels(const Identity& client);
  static void refuse_unless(const Identity& client, const Levels& levels, size_t kind,
                            double wanted);
  void give_back(const Identity& client, int64_t input, int64_t output);

  Clock clock_;
  std::mutex mutex_;
  std::map<AccountKey, Account> accounts_;  // others are full
};

}  // namespace dbrx
