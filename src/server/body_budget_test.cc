#include "server/body_budget.h"

#include <gtest/gtest.h>

#include <vector>

namespace dbrx {
namespace {

// What a client gets that takes all it can, byte by byte beside the others.
std::vector<int64_t> fill(BodyBudget& budget, std::vector<std::shared_ptr<BodyBudget::Share>>& all,
                          int n_clients) {
  for (int i = 0; i < n_clients; ++i) all.push_back(budget.open(std::to_string(i)));
  std::vector<int64_t> bytes(all.size(), 0);
  for (bool grew = true; grew;) {
    grew = false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!all[i]->grow_to(bytes[i] + 1)) continue;
      ++bytes[i];
      grew = true;
    }
  }
  return bytes;
}

TEST(BodyBudget, GreedyClientsGetEqualPartsAndLeaveOneForTheNext) {
  for (const int n : {1, 2, 5}) {
    const auto budget = std::make_shared<BodyBudget>(6000);
    std::vector<std::shared_ptr<BodyBudget::Share>> shares;
    for (const int64_t bytes : fill(*budget, shares, n)) EXPECT_EQ(bytes, 6000 / (n + 1));
    const auto late = budget->open("late");
    EXPECT_TRUE(late->grow_to(6000 / (n + 1) / 2));
    shares.clear();
    EXPECT_EQ(budget->n_taken(), 6000 / (n + 1) / 2);
  }
}

TEST(BodyBudget, AllBodiesOfAClientShareItsPart) {
  const auto budget = std::make_shared<BodyBudget>(1000);
  const auto first = budget->open("a"), second = budget->open("a"), other = budget->open("b");
  EXPECT_TRUE(first->grow_to(400));
  EXPECT_FALSE(second->grow_to(200));
  EXPECT_TRUE(second->grow_to(100));
  EXPECT_TRUE(other->grow_to(200));
  EXPECT_EQ(budget->n_taken(), 700);
  EXPECT_EQ(budget->n_refused(), 1);
}

}  // namespace
}  // namespace dbrx
