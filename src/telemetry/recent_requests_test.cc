#include "telemetry/recent_requests.h"

#include <gtest/gtest.h>

#include "telemetry/key_usage.h"

namespace dbrx {
namespace {

namespace json = boost::json;

RequestRecord record(const std::string& id, const std::string& answer = "") {
  RequestRecord record;
  record.id = id;
  record.request_id = "req-" + id;
  record.key = "alice";
  record.model = "nano";
  record.route = "/v1/chat/completions";
  record.status = 200;
  record.input = R"([{"role": "user", "content": "What is the Capital of France?"}])";
  record.choices.emplace_back().answer = answer;
  record.choices[0].finish = FinishReason::stop;
  return record;
}

std::string ids(const RecentRequests::Page& page) {
  std::string out;
  for (const auto& request : page.requests) out += request->id;
  return out + (page.has_more ? "+" : "");
}

TEST(RecentRequests, ComeNewestFirstInPages) {
  RecentRequests recent({});
  for (const char* id : {"a", "b", "c", "d", "e"}) recent.add(record(id));
  EXPECT_EQ(ids(recent.find({})), "edcba");
  EXPECT_EQ(ids(recent.find({.limit = 2, .search = {}})), "ed+");
  EXPECT_EQ(ids(recent.find({.limit = 2, .after = 4, .search = {}})), "cb+");
  EXPECT_EQ(ids(recent.find({.limit = 2, .after = 2, .search = {}})), "a");
  EXPECT_EQ(ids(recent.find({.limit = 2, .after = 1, .search = {}})), "");
}

// Ids are the clients' choice: many requests may have the same one.
TEST(RecentRequests, PagesGoOnBehindTheCursorOfTheLast) {
  RecentRequests recent({.max_requests = 4});
  for (int i = 0; i < 6; ++i) recent.add(record("same"));
  RecentQuery query{.limit = 2, .search = {}};
  std::vector<int64_t> cursors;
  while (true) {
    const RecentRequests::Page page = recent.find(query);
    for (const auto& one : page.requests) {
      cursors.push_back(request_json(*one).at("cursor").as_int64());
    }
    if (!page.has_more) break;
    query.after = cursors.back();
  }
  EXPECT_EQ(cursors, (std::vector<int64_t>{6, 5, 4, 3}));
  EXPECT_EQ(ids(recent.find({.limit = 2, .after = 2, .search = {}})), "");  // long gone
}

TEST(RecentRequests, AreFoundByAnyOfTheirTextsInEitherCase) {
  RecentRequests recent({});
  recent.add(record("a", "It is Paris."));
  recent.add(record("b", "Not known."));
  EXPECT_EQ(ids(recent.find({.limit = 9, .search = "PARIS"})), "a");
  EXPECT_EQ(ids(recent.find({.limit = 9, .search = "capital of"})), "ba");
  EXPECT_EQ(ids(recent.find({.limit = 9, .search = "req-b"})), "b");
  EXPECT_EQ(ids(recent.find({.limit = 9, .search = "Madrid"})), "");
}

TEST(RecentRequests, OldOnesGoWhenThereAreTooManyOrTheyAreTooLarge) {
  RecentRequests few({.max_requests = 2});
  for (const char* id : {"a", "b", "c"}) few.add(record(id));
  EXPECT_EQ(ids(few.find({})), "cb");
  RecentRequests small({.max_requests = 100, .max_bytes = 10'000});
  for (const char* id : {"a", "b", "c", "d"}) small.add(record(id, std::string(3000, 'x')));
  EXPECT_EQ(ids(small.find({})), "dc");
  small.add(record("e", std::string(20'000, 'x')));  // larger than all of it
  EXPECT_EQ(ids(small.find({})), "");
  RequestRecord calls = record("f");
  calls.choices[0].calls = {{.id = std::string(4000, 'i')}, {.name = std::string(4000, 'n')}};
  calls.error_code = std::string(3000, 'e');  // of the client's making, as all of these
  small.add(std::move(calls));
  EXPECT_EQ(ids(small.find({})), "");
  RecentRequests none({.max_requests = 0});
  none.add(record("a"));
  EXPECT_EQ(ids(none.find({})), "");
}

TEST(RecentRequests, JsonHasTextsAndTimesWhereTheyAreKnown) {
  RequestRecord full = record("a", "Paris");
  full.started = RequestRecord::Time(std::chrono::seconds(10));
  full.ended = RequestRecord::Time(std::chrono::seconds(12));
  full.at = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500));
  full.choices[0].times.submitted = RequestRecord::Time(std::chrono::milliseconds(10'100));
  full.choices[0].times.scheduled = RequestRecord::Time(std::chrono::milliseconds(10'500));
  const json::object out = request_json(full);
  EXPECT_EQ(out.at("at").as_double(), 1.5);
  EXPECT_EQ(out.at("seconds").as_double(), 2);
  EXPECT_EQ(out.at("input").at(0).at("role"), "user");
  const json::value& choice = out.at("choices").at(0);
  EXPECT_EQ(choice.at("answer"), "Paris");
  EXPECT_NEAR(choice.at("queue_seconds").as_double(), 0.4, 1e-9);
  EXPECT_TRUE(choice.at("prefill_seconds").is_null());
  RequestRecord none;
  none.error = "no";
  const json::object refused = request_json(none);
  EXPECT_TRUE(refused.at("input").is_null());
  EXPECT_EQ(refused.at("error"), "no");
  EXPECT_EQ(refused.at("choices").as_array().size(), 0U);
}

TEST(KeyUsage, SumsByKey) {
  KeyUsage usage;
  RequestRecord one = record("a");
  one.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_tokens = 4};
  usage.add(one);
  one.error = "no";
  usage.add(one);
  one.key = "";
  usage.add(one);
  EXPECT_EQ(usage.json({}).size(), 2U);
  const json::array alice = usage.json("alice");
  ASSERT_EQ(alice.size(), 1U);
  EXPECT_EQ(alice[0].at("requests"), 2);
  EXPECT_EQ(alice[0].at("errors"), 1);
  EXPECT_EQ(alice[0].at("prompt_tokens"), 20);
  EXPECT_EQ(alice[0].at("cached_tokens"), 8);
  EXPECT_EQ(alice[0].at("completion_tokens"), 6);
  EXPECT_EQ(usage.json("bob").size(), 0U);
}

}  // namespace
}  // namespace dbrx
