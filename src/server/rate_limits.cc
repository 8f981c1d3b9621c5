#include "server/rate_limits.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <utility>

#include "server/api_error.h"

namespace dbrx {
namespace {

using std::chrono::milliseconds;

constexpr double kSecondsPerMinute = 60;

enum Kind : size_t { kRequests, kInputTokens, kOutputTokens };

struct KindNames {
  const char* message;    // "output tokens"
  const char* anthropic;  // anthropic-ratelimit-<this>-remaining
};
constexpr std::array<KindNames, 3> kNames = {{
    {"requests", "requests"},
    {"input tokens", "input-tokens"},
    {"output tokens", "output-tokens"},
}};

// What the buckets hold.
std::array<double, 3> capacities(const ClientLimits& limits) {
  return {static_cast<double>(limits.requests), static_cast<double>(limits.input_tokens),
          static_cast<double>(limits.output_tokens)};
}

// Until a bucket has so much, in whole milliseconds.
milliseconds time_to(double level, double wanted, double limit) {
  const double seconds = std::max(0.0, wanted - level) * kSecondsPerMinute / limit;
  return milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
}

// "250ms", "1.5s", "59s": as OpenAI writes how long it takes.
std::string duration_text(milliseconds time) {
  const int64_t ms = time.count();
  if (ms < 1000) return std::to_string(ms) + "ms";
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) {
    const std::string digits = std::to_string(1000 + ms % 1000);
    text += "." + digits.substr(1);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "s";
}

// The wall clock in so long, as RFC 3339 writes it: what Anthropic's clients read.
std::string time_text(milliseconds from_now) {
  const auto at = std::chrono::system_clock::now() + from_now + milliseconds(999);
  const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text;
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string count_text(double count) {
  return std::to_string(static_cast<int64_t>(std::max(0.0, std::floor(count))));
}

}  // namespace

void RateLimits::Reservation::settle(int64_t input, int64_t output) {
  if (!settled_.exchange(true)) limits_.give_back(*client_, input_ - input, output_ - output);
}

// Of the client's buckets, filled up to now. Where one begins, those that have filled up are
// forgotten: so would they begin again.
RateLimits::Levels& RateLimits::levels(const Identity& client) {
  const Time now = clock_();
  const auto filled = [now](const ClientLimits& limits, const Account& account) {
    const std::chrono::duration<double> time = now - account.filled_at;
    const Levels full = capacities(limits);
    Levels levels = account.levels;
    for (size_t kind = 0; kind < kKinds; ++kind) {
      const double gained = full[kind] * time.count() / kSecondsPerMinute;
      levels[kind] = std::min(full[kind], levels[kind] + gained);
    }
    return levels;
  };
  const AccountKey key = {client.id, client.limits};
  auto found = accounts_.find(key);
  if (found == accounts_.end()) {
    std::erase_if(accounts_, [&](const auto& entry) {
      const ClientLimits& limits = entry.first.second;
      return filled(limits, entry.second) == capacities(limits);
    });
    const Account full = {.levels = capacities(client.limits), .filled_at = now};
    found = accounts_.emplace(key, full).first;
  }
  Account& account = found->second;
  account = {.levels = filled(client.limits, account), .filled_at = now};
  return account.levels;
}

void RateLimits::refuse_unless(const Identity& client, const Levels& levels, size_t kind,
                               double wanted) {
  const double full = capacities(client.limits)[kind];
  const double level = levels[kind];
  if (full == 0 || level >= wanted) return;
  const milliseconds wait = time_to(level, wanted, full);
  ApiError error(429,
                 "the key \"" + client.name + "\" may use " + count_text(full) + " " +
                     kNames[kind].message + " per minute; " + count_text(level) +
                     " are left now, and this request wants " + count_text(wanted) +
                     ": try again in " + duration_text(wait),
                 "", "rate_limit_exceeded");
  error.retry_after = std::max(wait, milliseconds(1));
  throw error;
}

void RateLimits::take_request(const Identity& client) {
  if (client.limits.requests == 0) return;
  const std::lock_guard lock(mutex_);
  Levels& left = levels(client);
  refuse_unless(client, left, kRequests, 1);
  left[kRequests] -= 1;
}

std::unique_ptr<RateLimits::Reservation> RateLimits::reserve(
    const std::shared_ptr<const Identity>& client, const TokenDemand& wanted) {
  const ClientLimits& limits = client->limits;
  if (limits.input_tokens == 0 && limits.output_tokens == 0) return nullptr;
  const std::lock_guard lock(mutex_);
  Levels& left = levels(*client);
  int64_t output = wanted.output;
  if (!wanted.output_is_explicit && limits.output_tokens > 0) {
    const auto whole = static_cast<int64_t>(std::floor(left[kOutputTokens]));
    output = std::min(output, std::max<int64_t>(whole, 1));
  }
  const auto refuse_if_never = [&](int64_t limit, int64_t asked, const char* what,
                                   const std::string& field) {
    if (limit == 0 || asked <= limit) return;
    throw ApiError(400,
                   field + ": the request wants " + std::to_string(asked) + " " + what +
                       ", more than the " + std::to_string(limit) + " that the key \"" +
                       client->name +
                       "\" may use in a whole minute: waiting won't help, ask for less",
                   field, "exceeds_rate_limit");
  };
  refuse_if_never(limits.input_tokens, wanted.input, "input tokens", wanted.input_field);
  refuse_if_never(limits.output_tokens, output, "output tokens", wanted.output_field);
  const auto input_wanted = static_cast<double>(wanted.input);
  const auto output_wanted = static_cast<double>(output);
  refuse_unless(*client, left, kInputTokens, input_wanted);
  refuse_unless(*client, left, kOutputTokens, output_wanted);
  auto reservation = std::make_unique<Reservation>(*this, client, wanted.input, output);
  left[kInputTokens] -= input_wanted;
  left[kOutputTokens] -= output_wanted;
  return reservation;
}

void RateLimits::give_back(const Identity& client, int64_t input, int64_t output) {
  const std::lock_guard lock(mutex_);
  Levels& left = levels(client);
  const Levels full = capacities(client.limits);
  const auto add = [&](size_t kind, int64_t amount) {
    left[kind] = std::min(full[kind], left[kind] + static_cast<double>(amount));
  };
  add(kInputTokens, input);
  add(kOutputTokens, output);
}

// OpenAI's clients know of one kind of tokens: theirs are those of which less is left.
std::vector<HttpHeader> RateLimits::headers(const Identity& client, bool anthropic) {
  if (client.limits == ClientLimits()) return {};
  const std::lock_guard lock(mutex_);
  const Levels left = levels(client);
  const Levels full = capacities(client.limits);
  std::vector<HttpHeader> headers;
  const auto add = [&](const std::string& name, size_t kind) {
    const milliseconds reset = time_to(left[kind], full[kind], full[kind]);
    const std::array<std::string, 3> values = {count_text(full[kind]), count_text(left[kind]),
                                               anthropic ? time_text(reset) : duration_text(reset)};
    const std::array<const char*, 3> what = {"limit", "remaining", "reset"};
    for (size_t i = 0; i < what.size(); ++i) {
      headers.push_back({anthropic ? "anthropic-ratelimit-" + name + "-" + what[i]
                                   : "x-ratelimit-" + std::string(what[i]) + "-" + name,
                         values[i]});
    }
  };
  const auto is_limited = [&](size_t kind) { return full[kind] > 0; };
  if (anthropic) {
    for (size_t kind = 0; kind < kKinds; ++kind) {
      if (is_limited(kind)) add(kNames[kind].anthropic, kind);
    }
    return headers;
  }
  if (is_limited(kRequests)) add("requests", kRequests);
  const bool input = is_limited(kInputTokens), output = is_limited(kOutputTokens);
  const bool less_input = left[kInputTokens] < left[kOutputTokens];
  if (input && (!output || less_input)) {
    add("tokens", kInputTokens);
  } else if (output) {
    add("tokens", kOutputTokens);
  }
  return headers;
}

}  // namespace dbrx
