#include "engine/queue_places.h"

#include <gtest/gtest.h>

namespace dbrx {
namespace {

TEST(QueuePlaces, a_client_that_floods_leaves_half_to_another) {
  QueuePlaces places(10);
  int64_t n = 0;
  while (places.fits(7, 1)) {
    places.take(7, 1);
    ++n;
  }
  EXPECT_EQ(n, 5);
  EXPECT_EQ(n, places.most(7));
  EXPECT_TRUE(places.fits(8, 5));
  EXPECT_FALSE(places.fits(8, 6));
  for (int i = 0; i < 5; ++i) places.give_back(7);
  EXPECT_EQ(places.n_taken(), 0);
  EXPECT_TRUE(places.fits(7, 5));
}

TEST(QueuePlaces, nobody_in_particular_may_have_all) {
  QueuePlaces places(10);
  EXPECT_TRUE(places.fits(0, 10));
  places.take(0, 10);
  EXPECT_FALSE(places.fits(0, 1));
}

TEST(QueuePlaces, who_has_nothing_in_line_finds_a_place_however_many_wait) {
  QueuePlaces places(10);
  for (uint64_t client = 1; client <= 2000; ++client) {
    ASSERT_TRUE(places.fits(client, 1)) << client;
    places.take(client, 1);
    ASSERT_TRUE(client < 6 || !places.fits(client, 1)) << client;
  }
  EXPECT_EQ(places.n_taken(), 2000);
}

}  // namespace
}  // namespace dbrx
