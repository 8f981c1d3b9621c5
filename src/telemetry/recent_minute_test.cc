#include "telemetry/recent_minute.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

namespace json = boost::json;
using Time = RecentMinute::Time;

Time at(int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

// Of an engine that computes this many tokens per second.
EngineStats stats_at(int64_t second, int64_t per_second) {
  EngineStats stats;
  stats.generated_tokens = second * per_second;
  stats.prompt_tokens = 2 * stats.generated_tokens;
  stats.prefix_queries = stats.prompt_tokens;
  stats.prefix_hits = stats.prompt_tokens / 4;
  stats.steps = second * 5;
  stats.step_rows = second * 40;
  stats.step_seconds = static_cast<double>(second) * 0.5;
  stats.weight_bytes_read = second * 2'000;
  return stats;
}

TEST(RecentMinute, RatesAreThoseOfTheLastMinute) {
  RecentMinute minute(10'000);
  EngineStats stats;
  for (int64_t s = 0; s <= 100; ++s) {
    stats = stats_at(s, 10);
    minute.look(at(1000 + s), stats);
  }
  const json::object out = minute.json(at(1100), stats);
  EXPECT_EQ(out.at("seconds").as_double(), 60);
  EXPECT_EQ(out.at("generated_tokens_per_second").as_double(), 10);
  EXPECT_EQ(out.at("prompt_tokens_per_second").as_double(), 20);
  EXPECT_EQ(out.at("prefix_hit_rate").as_double(), 0.25);
  EXPECT_EQ(out.at("rows_per_step").as_double(), 8);
  EXPECT_EQ(out.at("busy").as_double(), 0.5);
  EXPECT_EQ(out.at("roof_share").as_double(), 0.4);  // 2000 bytes in half a second, of 10000
  EXPECT_EQ(minute.roof_share(), 0.4);
}

TEST(RecentMinute, WhatWasNotMeasuredIsNull) {
  RecentMinute minute(0);
  const json::object first = minute.json(at(5), {});
  EXPECT_TRUE(first.at("generated_tokens_per_second").is_null());
  minute.look(at(5), {});
  minute.look(at(6), {});
  const json::object idle = minute.json(at(7), {});
  EXPECT_EQ(idle.at("generated_tokens_per_second").as_double(), 0);
  EXPECT_TRUE(idle.at("prefix_hit_rate").is_null());
  EXPECT_TRUE(idle.at("roof_share").is_null());
  EXPECT_LT(minute.roof_share(), 0);
}

TEST(RecentMinute, LatenciesOfAnswersOnly) {
  RecentMinute minute(0);
  RequestRecord record;
  record.started = at(10);
  record.ended = at(12);
  minute.finished(at(12), record);
  record.error = "no";
  minute.finished(at(12), record);
  minute.first_token(at(11), 0.25);
  for (int i = 0; i < 3; ++i) minute.next_token(at(11), 0.01);
  const json::object out = minute.json(at(13), {});
  EXPECT_EQ(out.at("request_seconds").at("count"), 1);
  EXPECT_NEAR(out.at("request_seconds").at("p50").as_double(), 2, 0.1);
  EXPECT_NEAR(out.at("time_to_first_token_seconds").at("p99").as_double(), 0.25, 0.0125);
  EXPECT_EQ(out.at("inter_token_seconds").at("count"), 3);
}

}  // namespace
}  // namespace dbrx
