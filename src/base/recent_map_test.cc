#include "base/recent_map.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

TEST(RecentMap, KeepsThoseUsedLast) {
  RecentMap<int> map(2, 100);
  map.put("a", 1, 1);
  map.put("b", 2, 1);
  EXPECT_EQ(*map.find("a"), 1);
  map.put("c", 3, 1);
  EXPECT_EQ(map.find("b"), nullptr);
  EXPECT_EQ(*map.find("a"), 1);
  EXPECT_EQ(*map.find("c"), 3);
}

TEST(RecentMap, KeepsOnlySoManyBytes) {
  RecentMap<int> map(10, 100);
  map.put("a", 1, 60);
  map.put("b", 2, 40);
  map.put("too large", 3, 101);
  EXPECT_EQ(*map.find("a"), 1);
  map.put("c", 4, 30);
  EXPECT_EQ(map.find("b"), nullptr);
  map.put("a", 5, 70);  // instead of the first
  EXPECT_EQ(*map.find("a"), 5);
  EXPECT_EQ(*map.find("c"), 4);
}

}  // namespace
}  // namespace dbrx
