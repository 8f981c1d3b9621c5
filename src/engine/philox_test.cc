#include "engine/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/portable_math.h"

namespace dbrx {
namespace {

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, gives_the_known_answers_of_random123) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, gives_another_uniform_for_every_seed_choice_and_position) {
  std::set<double> seen;
  int n = 0;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32, ~uint64_t{0}}) {
    for (int32_t choice = 0; choice < 4; ++choice) {
      for (int64_t position = 0; position < 50; ++position, ++n) {
        const double u = philox_uniform(seed, choice, position);
        EXPECT_GE(u, 0);
        EXPECT_LT(u, 1);
        seen.insert(u);
      }
    }
  }
  EXPECT_EQ(static_cast<int>(seen.size()), n);
}

TEST(Philox, uniforms_fill_the_unit_interval_evenly) {
  constexpr int kBins = 64;
  constexpr int kDraws = 64000;
  int count[kBins] = {};
  for (int i = 0; i < kDraws; ++i) ++count[static_cast<int>(philox_uniform(7, 0, i) * kBins)];
  double chi2 = 0;
  for (const int n : count) chi2 += (n - 1000.0) * (n - 1000.0) / 1000;
  EXPECT_LT(chi2, 104);  // 63 degrees of freedom: exceeded with probability 0.001
}

TEST(PortableMath, exp_is_within_4e_16_of_the_library) {
  for (int i = 0; i <= 700000; ++i) {
    const double x = -i * 0.001 - i * 1e-9;
    const double expected = std::exp(x);
    ASSERT_NEAR(portable_exp(x) / expected, 1, 4e-16) << x;
  }
  EXPECT_EQ(portable_exp(0), 1);
  EXPECT_EQ(portable_exp(-709), 0);
  EXPECT_EQ(portable_exp(-INFINITY), 0);
}

TEST(PortableMath, log_is_within_4e_16_of_the_library) {
  for (int i = 1; i <= 300000; ++i) {
    const double x = 1 + i * 0.37;
    ASSERT_NEAR(portable_log(x), std::log(x), 4e-16 * std::max(1.0, std::log(x))) << x;
    const double small = 1 + i * 1e-6;
    ASSERT_NEAR(portable_log(small), std::log(small), 4e-16) << small;
  }
  EXPECT_EQ(portable_log(1), 0);
}

}  // namespace
}  // namespace dbrx
