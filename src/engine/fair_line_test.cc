#include "engine/fair_line.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

namespace dbrx {
namespace {

struct Line {
  Sequence& add(uint64_t client, float weight = 1, int32_t priority = 0) {
    auto entry = std::make_unique<ActiveRequest>();
    entry->request = std::make_shared<Request>();
    entry->request->client = client;
    entry->request->client_weight = weight;
    entry->request->priority = priority;
    entry->arrival = static_cast<int64_t>(requests.size());
    entry->choices.resize(1);
    entry->choices[0].owner = entry.get();
    requests.push_back(std::move(entry));
    line.add(requests.back()->choices[0]);
    return requests.back()->choices[0];
  }

  // Serves whose turn it is to the end. Returns the client.
  uint64_t serve(int64_t n_tokens) {
    Sequence& sequence = *line.next();
    line.take(sequence);
    FairLine::charge(sequence, n_tokens);
    FairLine::leave(sequence);
    return sequence.owner->request->client;
  }

  FairLine line;
  std::vector<std::unique_ptr<ActiveRequest>> requests;
};

std::string serve_all(Line& line, int64_t n_tokens) {
  std::string order;
  while (line.line.next() != nullptr) order += std::to_string(line.serve(n_tokens));
  return order;
}

TEST(FairLine, serves_one_client_in_order_of_arrival) {
  Line line;
  for (int i = 0; i < 3; ++i) line.add(7);
  for (const auto& request : line.requests) {
    EXPECT_EQ(line.line.next(), &request->choices[0]);
    line.serve(100);
  }
  EXPECT_EQ(line.line.next(), nullptr);
  EXPECT_EQ(line.line.size(), 0);
}

TEST(FairLine, who_waits_with_a_low_priority_lends_no_credit_to_others_nor_to_itself) {
  Line line;
  line.add(9, 1, /*priority=*/10);
  for (int i = 0; i < 10; ++i) line.add(1);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(line.serve(100), 1);
  for (int i = 0; i < 2; ++i) line.add(2);
  for (int i = 0; i < 2; ++i) line.add(9);
  // Each begins where the first one stands by now, at 800.
  EXPECT_EQ(serve_all(line, 100), "1291299");
}

TEST(FairLine, takes_turns_between_clients_whatever_the_length_of_their_lines) {
  Line line;
  for (int i = 0; i < 6; ++i) line.add(1);
  for (int i = 0; i < 3; ++i) line.add(2);
  EXPECT_EQ(serve_all(line, 10), "121212111");
}

TEST(FairLine, counts_tokens_not_requests) {
  Line line;
  std::map<uint64_t, int64_t> served;
  for (int i = 0; i < 1000; ++i) {
    line.add(1);
    line.add(2);
  }
  for (int i = 0; i < 600; ++i) {
    const int64_t n = line.line.next()->owner->request->client == 1 ? 300 : 10;
    served[line.serve(n)] += n;
  }
  EXPECT_NEAR(served[1], served[2], 300);
}

TEST(FairLine, gives_shares_by_weight) {
  Line line;
  std::map<uint64_t, int64_t> served;
  for (int i = 0; i < 1000; ++i) {
    line.add(1, 3);
    line.add(2, 1);
  }
  for (int i = 0; i < 800; ++i) served[line.serve(10)] += 10;
  EXPECT_NEAR(served[1], 6000, 30);
  EXPECT_NEAR(served[2], 2000, 30);
}

TEST(FairLine, gives_no_credit_for_the_time_in_which_a_client_wanted_nothing) {
  Line line;
  line.add(2);
  line.serve(10);  // then it is idle for long
  for (int i = 0; i < 100; ++i) {
    line.add(1);
    line.serve(1000);
  }
  for (int i = 0; i < 4; ++i) line.add(1);
  for (int i = 0; i < 4; ++i) line.add(2);
  EXPECT_EQ(serve_all(line, 10), "12121212");
}

TEST(FairLine, a_client_keeps_what_it_owes_when_it_comes_back) {
  Line line;
  line.add(1);
  line.add(2);
  EXPECT_EQ(line.serve(1000), 1U);  // while 2 waits
  line.add(1);
  for (int i = 0; i < 3; ++i) line.add(2);
  EXPECT_EQ(serve_all(line, 10), "22221");
}

TEST(FairLine, serves_better_priorities_first) {
  Line line;
  line.add(1, 1, 0);
  line.add(1, 1, -5);
  line.add(2, 1, 5);
  line.add(3, 1, -1);
  EXPECT_EQ(serve_all(line, 1000), "1312");
}

TEST(FairLine, forgets_clients_that_owe_nothing) {
  Line line;
  for (uint64_t client = 1; client <= 10000; ++client) {
    line.add(client);
    line.serve(10);
  }
  EXPECT_LT(line.line.n_clients(), 200);
}

}  // namespace
}  // namespace dbrx
