#include "engine/prefill_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <vector>

namespace dbrx {
namespace {

// A step's seconds by its rows.
using Cost = std::function<double(int64_t n_decoding, int64_t n_prompt)>;

// What the steps take beside a prompt without end.
std::vector<int64_t> chunks(PrefillPacer& pacer, int64_t n_decoding, const Cost& cost,
                            int n_steps) {
  std::vector<int64_t> rows;
  for (int i = 0; i < n_steps; ++i) {
    rows.push_back(pacer.prompt_rows(n_decoding));
    pacer.measured(n_decoding, rows.back(), cost(n_decoding, rows.back()));
  }
  return rows;
}

TEST(PrefillPacer, gives_prompts_all_rows_when_nobody_generates_or_there_is_no_limit) {
  EXPECT_EQ(PrefillPacer(1.9, 512).prompt_rows(0), 512);
  EXPECT_EQ(PrefillPacer(0, 512).prompt_rows(8), 512);
}

TEST(PrefillPacer, measures_a_step_without_prompts_first_and_again_now_and_then) {
  PrefillPacer pacer(1.9, 512);
  const Cost cost = [](int64_t, int64_t n) { return 0.1 + 0.001 * static_cast<double>(n); };
  const std::vector<int64_t> rows = chunks(pacer, 8, cost, 300);
  EXPECT_EQ(rows[0], 0);
  EXPECT_GT(rows[1], 0);
  const auto n_without = std::ranges::count(rows, 0);
  EXPECT_GE(n_without, 3);
  EXPECT_LE(n_without, 6);
}

TEST(PrefillPacer, finds_the_chunk_that_takes_the_time_allowed) {
  const std::vector<Cost> costs = {
      [](int64_t, int64_t n) { return 0.1 + 0.001 * static_cast<double>(n); },     // 90 rows
      [](int64_t, int64_t n) { return 0.4 + 0.05 * static_cast<double>(n); },      // 7 rows
      [](int64_t, int64_t n) { return 0.01 + 0.00003 * static_cast<double>(n); },  // 300 rows
      // Waits for memory, then for products.
      [](int64_t, int64_t n) { return std::max(0.1, 0.0005 * static_cast<double>(n)); },
  };
  for (const Cost& cost : costs) {
    PrefillPacer pacer(1.9, 512);
    const std::vector<int64_t> rows = chunks(pacer, 8, cost, 60);
    for (size_t i = 20; i < rows.size(); ++i) {
      EXPECT_NEAR(cost(8, rows[i]) / cost(8, 0), 1.9, 0.19) << rows[i];
    }
  }
}

TEST(PrefillPacer, gives_all_rows_where_they_cost_less_than_is_allowed) {
  PrefillPacer pacer(1.9, 512);
  const auto rows = chunks(pacer, 8, [](int64_t, int64_t) { return 0.1; }, 30);
  EXPECT_EQ(rows.back(), 512);
}

TEST(PrefillPacer, always_gives_a_row_where_even_one_costs_more_than_is_allowed) {
  PrefillPacer pacer(1.9, 512);
  const Cost cost = [](int64_t, int64_t n) { return n == 0 ? 0.1 : 5.0; };
  EXPECT_EQ(chunks(pacer, 8, cost, 30).back(), 1);
}

TEST(PrefillPacer, leaves_prompts_a_quarter_of_their_rate_where_the_first_rows_cost_most) {
  PrefillPacer pacer(1.9, 512);
  // One row beside one sequence reads other experts, sixteen read all of them.
  const Cost cost = [](int64_t n_decoding, int64_t n) {
    const auto rows = static_cast<double>(n);
    return 0.05 * (1 + 3 * std::min(rows / 16, 1.0)) +
           0.002 * (rows + static_cast<double>(n_decoding));
  };
  const double alone = 512 / cost(0, 512);
  pacer.measured(0, 512, cost(0, 512));
  pacer.measured(0, 512, cost(0, 512));
  pacer.measured(0, 512, cost(0, 512));
  const std::vector<int64_t> rows = chunks(pacer, 1, cost, 300);
  for (size_t i = 20; i < rows.size(); ++i) {
    if (rows[i] == 0) continue;
    EXPECT_GT(static_cast<double>(rows[i]) / cost(1, rows[i]), 0.2 * alone) << rows[i];
    EXPECT_LT(static_cast<double>(rows[i]) / cost(1, rows[i]), 0.5 * alone) << rows[i];
  }
}

TEST(PrefillPacer, a_known_rate_alone_changes_nothing_where_rows_cost_alike) {
  PrefillPacer pacer(1.9, 512);
  const Cost cost = [](int64_t n_decoding, int64_t n) {
    return (n_decoding == 0 ? 0.0 : 0.1) + 0.001 * static_cast<double>(n);
  };
  for (int i = 0; i < 10; ++i) pacer.measured(0, 512, cost(0, 512));
  const std::vector<int64_t> rows = chunks(pacer, 8, cost, 60);
  for (size_t i = 20; i < rows.size(); ++i) EXPECT_NEAR(cost(8, rows[i]) / 0.1, 1.9, 0.19);
}

TEST(PrefillPacer, follows_the_number_of_sequences_and_the_growth_of_their_contexts) {
  PrefillPacer pacer(1.9, 512);
  double per_sequence = 0.01;
  const Cost cost = [&](int64_t n_decoding, int64_t n) {
    return 0.1 + per_sequence * static_cast<double>(n_decoding) + 0.001 * static_cast<double>(n);
  };
  for (const int64_t n_decoding : {2, 30}) {
    for (const double growth : {0.01, 0.02}) {
      per_sequence = growth;
      const auto rows = chunks(pacer, n_decoding, cost, 300);
      EXPECT_NEAR(cost(n_decoding, rows.back()) / cost(n_decoding, 0), 1.9, 0.19);
    }
  }
}

TEST(PrefillPacer, forgets_a_disturbance) {
  PrefillPacer pacer(1.9, 512);
  std::mt19937 random(1);
  const Cost cost = [&](int64_t, int64_t n) {
    const double seconds = 0.1 + 0.001 * static_cast<double>(n);
    return random() % 20 == 0 ? 3 * seconds : seconds;
  };
  const std::vector<int64_t> rows = chunks(pacer, 8, cost, 1000);
  std::vector<int64_t> sorted(rows.begin() + 20, rows.end());
  std::ranges::sort(sorted);
  EXPECT_NEAR(sorted[sorted.size() / 2], 90, 25);
}

TEST(PrefillPacer, learns_nothing_from_a_short_chunk_that_was_quick) {
  PrefillPacer pacer(1.9, 512);
  const Cost cost = [](int64_t, int64_t n) { return 0.1 + 0.001 * static_cast<double>(n); };
  chunks(pacer, 8, cost, 30);
  const int64_t before = pacer.prompt_rows(8);
  pacer.measured(8, 3, 0.1);
  EXPECT_EQ(pacer.prompt_rows(8), before);
  pacer.measured(8, 3, 0.4);  // but from one that was slow
  EXPECT_LT(pacer.prompt_rows(8), before);
}

TEST(PrefillPacer, goes_on_when_the_clock_stands_still) {
  PrefillPacer pacer(1.9, 512);
  const auto rows = chunks(pacer, 8, [](int64_t, int64_t) { return 0.0; }, 30);
  EXPECT_GT(rows[1], 0);
}

}  // namespace
}  // namespace dbrx
