// Token buckets, by a clock of the test's own.
#include "server/rate_limits.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "server/api_error.h"

namespace dbrx {
namespace {

using namespace std::chrono_literals;

struct Rig {
  std::chrono::steady_clock::time_point now{1h};
  RateLimits limits{[this] { return now; }};

  std::shared_ptr<const Identity> client(ClientLimits of, uint64_t id = 1) {
    Identity identity;
    identity.name = "alice";
    identity.id = id;
    identity.limits = of;
    return std::make_shared<const Identity>(std::move(identity));
  }
  std::map<std::string, std::string> headers(const Identity& client, bool anthropic = false) {
    std::map<std::string, std::string> all;
    for (const HttpHeader& header : limits.headers(client, anthropic)) {
      all[header.name] = header.value;
    }
    return all;
  }
};

// How a call was refused: status, message, and milliseconds to wait; status 0 when it was not.
struct Refused {
  int status = 0;
  std::string message;
  int64_t wait_ms = 0;
};
template <typename F>
Refused refused(F&& call) {
  try {
    call();
  } catch (const ApiError& error) {
    return {error.status, error.what(), error.retry_after.count()};
  }
  return {};
}

TokenDemand tokens(int64_t input, int64_t output, bool is_explicit = true) {
  return {.input = input,
          .output = output,
          .output_is_explicit = is_explicit,
          .input_field = "messages",
          .output_field = "max_tokens"};
}

TEST(RateLimits, RequestsComeBackEvenly) {
  Rig rig;
  const auto client = rig.client({.requests = 6});
  const auto take = [&] { return refused([&] { rig.limits.take_request(*client); }); };
  for (int i = 0; i < 6; ++i) EXPECT_EQ(take().status, 0);
  Refused seventh = take();
  EXPECT_EQ(seventh.status, 429);
  EXPECT_EQ(seventh.wait_ms, 10'000);
  EXPECT_NE(seventh.message.find("6 requests per minute"), std::string::npos) << seventh.message;
  rig.now += 9999ms;
  EXPECT_EQ(take().wait_ms, 1);
  rig.now += 1ms;
  EXPECT_EQ(take().status, 0);
  rig.now += 1h;  // no more than a minute's worth is ever saved up
  for (int i = 0; i < 6; ++i) EXPECT_EQ(take().status, 0);
  EXPECT_EQ(take().status, 429);
}

TEST(RateLimits, ClientsAndUnlimitedOnesAreApart) {
  Rig rig;
  const auto one = rig.client({.requests = 1}, 1);
  const auto other = rig.client({.requests = 1}, 2);
  const auto free = rig.client({}, 3);
  rig.limits.take_request(*one);
  rig.limits.take_request(*other);
  for (int i = 0; i < 100; ++i) rig.limits.take_request(*free);
  EXPECT_EQ(rig.limits.reserve(free, tokens(1 << 30, 1 << 30)), nullptr);
  EXPECT_EQ(refused([&] { rig.limits.take_request(*one); }).status, 429);
  EXPECT_TRUE(rig.headers(*free).empty());
}

TEST(RateLimits, OutputIsReservedAndTheUnusedComesBack) {
  Rig rig;
  const auto client = rig.client({.input_tokens = 1000, .output_tokens = 100});
  auto first = rig.limits.reserve(client, tokens(10, 80));
  const Refused second = refused([&] { rig.limits.reserve(client, tokens(10, 30)); });
  EXPECT_EQ(second.status, 429);
  EXPECT_EQ(second.wait_ms, 6000);  // 10 tokens at 100 a minute
  EXPECT_NE(second.message.find("100 output tokens per minute"), std::string::npos);
  first->settle(10, 5);
  first.reset();  // counts no second time
  EXPECT_EQ(rig.headers(*client)["x-ratelimit-remaining-tokens"], "95");
  auto third = rig.limits.reserve(client, tokens(10, 95));
  third.reset();  // never ran: all of it comes back
  const auto anthropic = rig.headers(*client, true);
  EXPECT_EQ(anthropic.at("anthropic-ratelimit-output-tokens-remaining"), "95");
  EXPECT_EQ(anthropic.at("anthropic-ratelimit-input-tokens-remaining"), "990");
}

TEST(RateLimits, ARefusedRequestTakesNothing) {
  Rig rig;
  const auto client = rig.client({.input_tokens = 1000, .output_tokens = 100});
  const auto holder = rig.limits.reserve(client, tokens(0, 100));
  EXPECT_EQ(refused([&] { rig.limits.reserve(client, tokens(900, 1)); }).status, 429);
  EXPECT_EQ(rig.headers(*client, true)["anthropic-ratelimit-input-tokens-remaining"], "1000");
}

TEST(RateLimits, WhatCanNeverFitIsToldSo) {
  Rig rig;
  const auto client = rig.client({.input_tokens = 1000, .output_tokens = 100});
  const Refused output = refused([&] { rig.limits.reserve(client, tokens(1, 101)); });
  EXPECT_EQ(output.status, 400);
  EXPECT_TRUE(output.message.starts_with("max_tokens: ")) << output.message;
  EXPECT_NE(output.message.find("waiting won't help"), std::string::npos);
  const Refused input = refused([&] { rig.limits.reserve(client, tokens(1001, 1)); });
  EXPECT_EQ(input.status, 400);
  EXPECT_TRUE(input.message.starts_with("messages: ")) << input.message;
}

TEST(RateLimits, WithoutMaxTokensWhatTheBucketHasIsGranted) {
  Rig rig;
  const auto client = rig.client({.output_tokens = 100});
  auto all = rig.limits.reserve(client, tokens(1, 30'000, /*is_explicit=*/false));
  EXPECT_EQ(all->output(), 100);
  EXPECT_EQ(rig.headers(*client)["x-ratelimit-remaining-tokens"], "0");
  // Another one meanwhile gets no second bucket.
  const Refused next =
      refused([&] { rig.limits.reserve(client, tokens(1, 30'000, /*is_explicit=*/false)); });
  EXPECT_EQ(next.wait_ms, 600);  // one token at 100 a minute
  all->settle(1, 100);
  rig.now += 6s;
  EXPECT_EQ(rig.limits.reserve(client, tokens(1, 30'000, /*is_explicit=*/false))->output(), 10);
}

TEST(RateLimits, HeadersAreThoseOfTheDialect) {
  Rig rig;
  const auto client = rig.client({.requests = 60, .input_tokens = 1000, .output_tokens = 2000});
  rig.limits.take_request(*client);
  const auto held = rig.limits.reserve(client, tokens(100, 500));
  const auto openai = rig.headers(*client);
  EXPECT_EQ(openai.at("x-ratelimit-limit-requests"), "60");
  EXPECT_EQ(openai.at("x-ratelimit-remaining-requests"), "59");
  EXPECT_EQ(openai.at("x-ratelimit-reset-requests"), "1s");
  EXPECT_EQ(openai.at("x-ratelimit-limit-tokens"), "1000");  // 900 is less than 1500
  EXPECT_EQ(openai.at("x-ratelimit-remaining-tokens"), "900");
  EXPECT_EQ(openai.at("x-ratelimit-reset-tokens"), "6s");
  const auto anthropic = rig.headers(*client, true);
  EXPECT_EQ(anthropic.at("anthropic-ratelimit-requests-limit"), "60");
  EXPECT_EQ(anthropic.at("anthropic-ratelimit-input-tokens-remaining"), "900");
  EXPECT_EQ(anthropic.at("anthropic-ratelimit-output-tokens-remaining"), "1500");
  const std::string reset = anthropic.at("anthropic-ratelimit-output-tokens-reset");
  EXPECT_EQ(reset.size(), std::string("2026-01-01T00:00:00Z").size());
}

TEST(RateLimits, WithoutMaxTokensWhatIsLeftIsEnough) {
  Rig rig;
  const auto client = rig.client({.output_tokens = 100});
  const auto chat = [&] { return rig.limits.reserve(client, tokens(1, 30'000, false)); };
  chat()->settle(1, 30);
  auto second = chat();  // of 70
  EXPECT_EQ(rig.headers(*client)["x-ratelimit-remaining-tokens"], "0");
  EXPECT_EQ(refused(chat).wait_ms, 600);  // until there is one
  second->settle(1, 20);
  EXPECT_EQ(rig.headers(*client)["x-ratelimit-remaining-tokens"], "50");
}

TEST(RateLimits, OtherLimitsBeginAnewOnce) {
  Rig rig;
  const auto before = rig.client({.output_tokens = 100});
  auto old = rig.limits.reserve(before, tokens(1, 100));
  const auto after = rig.client({.output_tokens = 50});
  EXPECT_EQ(rig.headers(*after)["x-ratelimit-remaining-tokens"], "50");
  const auto held = rig.limits.reserve(after, tokens(1, 50));
  EXPECT_EQ(rig.headers(*before)["x-ratelimit-remaining-tokens"], "0");
  EXPECT_EQ(refused([&] { rig.limits.reserve(after, tokens(1, 50)); }).status, 429);
  old.reset();  // was taken from the other bucket
  EXPECT_EQ(rig.headers(*after)["x-ratelimit-remaining-tokens"], "0");
  EXPECT_EQ(rig.headers(*before)["x-ratelimit-remaining-tokens"], "100");
}

TEST(RateLimits, AReturnToABucketThatWasForgottenFindsItFull) {
  Rig rig;
  const auto before = rig.client({.output_tokens = 100});
  auto old = rig.limits.reserve(before, tokens(1, 40));
  rig.now += 1min;
  const auto held = rig.limits.reserve(rig.client({.output_tokens = 50}), tokens(1, 50));
  old.reset();
  EXPECT_EQ(rig.headers(*before)["x-ratelimit-remaining-tokens"], "100");
}

}  // namespace
}  // namespace dbrx
