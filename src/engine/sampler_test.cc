#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "base/thread_pool.h"
#include "engine/philox.h"

namespace dbrx {
namespace {

struct Case {
  std::vector<float> logits = {};
  SamplingParams params = {};
  std::vector<int32_t> prompt = {};
  std::vector<int32_t> generated = {};
  std::vector<int32_t> banned = {};
  std::vector<int32_t> masked = {};
  double uniform = 0;
};

std::vector<float> random_logits(std::mt19937& random, size_t n, double width) {
  std::normal_distribution<float> normal(0, static_cast<float>(width));
  std::vector<float> logits(n);
  for (float& l : logits) l = normal(random);
  return logits;
}

std::optional<TokenInfo> sample(const Case& c, std::optional<int32_t> top_logprobs = {}) {
  const auto vocab = static_cast<int64_t>(c.logits.size());
  const Sampler sampler(vocab, c.masked);
  SampleScratch scratch(vocab);
  TokenInfo info;
  const SampleArgs args{.logits = c.logits,
                        .params = c.params,
                        .prompt = c.prompt,
                        .generated = c.generated,
                        .banned = c.banned,
                        .uniform = c.uniform,
                        .top_logprobs = top_logprobs};
  if (!sampler.sample(args, scratch, info)) return std::nullopt;
  // Once more with the same scratch: a call must leave nothing behind.
  TokenInfo again;
  EXPECT_TRUE(sampler.sample(args, scratch, again));
  EXPECT_EQ(again.id, info.id);
  return info;
}

int32_t sample_id(const Case& c) { return sample(c).value().id; }

// The formulas of sampler.h once more, with maps, full sorts and the library's exp.
std::map<int32_t, double> slow_weights(const Case& c) {
  const SamplingParams& p = c.params;
  std::map<int32_t, double> l;
  for (size_t i = 0; i < c.logits.size(); ++i) l[static_cast<int32_t>(i)] = c.logits[i];
  std::set<int32_t> seen(c.prompt.begin(), c.prompt.end());
  seen.insert(c.generated.begin(), c.generated.end());
  for (const int32_t id : seen) {
    l[id] = l[id] > 0 ? l[id] / p.repetition_penalty : l[id] * p.repetition_penalty;
  }
  for (auto& [id, value] : l) {
    const auto n = std::count(c.generated.begin(), c.generated.end(), id);
    value -= n * double{p.frequency_penalty} + (n > 0 ? p.presence_penalty : 0);
  }
  for (const auto& [id, bias] : p.logit_bias) l[id] += bias;
  for (const int32_t id : c.masked) l.erase(id);
  for (const int32_t id : c.banned) l.erase(id);

  std::vector<std::pair<double, int32_t>> order;  // -logit, id
  for (const auto& [id, value] : l) order.push_back({-value, id});
  std::sort(order.begin(), order.end());
  if (p.top_k > 0 && order.size() > static_cast<size_t>(p.top_k)) order.resize(p.top_k);
  std::vector<double> w;
  for (const auto& [negative, id] : order) {
    w.push_back(std::exp((order[0].first - negative) / p.temperature));
  }
  const double total = std::accumulate(w.begin(), w.end(), 0.0);
  std::map<int32_t, double> kept;
  double sum = 0;
  for (size_t i = 0; i < w.size() && (i == 0 || p.top_p == 1 || sum < p.top_p * total); ++i) {
    sum += w[i];
    if (w[i] >= p.min_p) kept[order[i].second] = w[i];
  }
  return kept;
}

int32_t slow_sample(const Case& c) {
  if (c.params.temperature == 0) {
    Case warm = c;
    warm.params = {.top_k = 1,
                   .presence_penalty = c.params.presence_penalty,
                   .frequency_penalty = c.params.frequency_penalty,
                   .repetition_penalty = c.params.repetition_penalty,
                   .logit_bias = c.params.logit_bias};
    return slow_weights(warm).begin()->first;
  }
  const std::map<int32_t, double> weights = slow_weights(c);
  double total = 0;
  for (const auto& [id, w] : weights) total += w;
  double sum = 0;
  for (const auto& [id, w] : weights) {
    sum += w;
    if (sum > c.uniform * total) return id;
  }
  return weights.rbegin()->first;
}

TEST(Sampler, greedy_takes_the_largest_logit_and_the_lower_id_of_equal_ones) {
  Case c{.logits = {1, 3, 2, 3, 3}, .params = {.temperature = 0}};
  EXPECT_EQ(sample_id(c), 1);
}

TEST(Sampler, agrees_with_a_straightforward_implementation) {
  std::mt19937 random(11);
  const auto pick = [&](std::initializer_list<float> values) {
    return values.begin()[random() % values.size()];
  };
  for (int round = 0; round < 6000; ++round) {
    const size_t vocab = 5 + random() % 300;
    Case c{.logits = random_logits(random, vocab, pick({0.1F, 1, 4}))};
    if (round % 3 == 0) {  // many ties
      for (float& l : c.logits) l = std::round(l * 2) / 2;
    }
    const auto ids = [&](size_t n) {
      std::vector<int32_t> result(n);
      for (int32_t& id : result) id = static_cast<int32_t>(random() % vocab);
      return result;
    };
    c.prompt = ids(random() % 20);
    c.generated = ids(random() % 20);
    c.banned = ids(random() % 2);
    c.masked = ids(random() % 3);
    c.params = {.temperature = pick({0, 0.2F, 0.7F, 1, 2}),
                .top_p = pick({1, 1, 0.1F, 0.5F, 0.9F, 0.99F, 1e-6F}),
                .top_k = static_cast<int32_t>(pick({0, 0, 1, 2, 10, 50, 1000})),
                .min_p = pick({0, 0, 0.05F, 0.5F, 1}),
                .presence_penalty = pick({0, 0, 0.5F, -1}),
                .frequency_penalty = pick({0, 0, 0.3F, -0.2F}),
                .repetition_penalty = pick({1, 1, 1.3F, 0.8F})};
    if (round % 2) c.params.logit_bias = {{0, 2.5F}, {3, -100}, {0, 0.5F}};
    c.uniform = philox_uniform(5, 0, round);
    ASSERT_EQ(sample_id(c), slow_sample(c)) << "round " << round;
  }
}

TEST(Sampler, repetition_penalty_weakens_tokens_of_the_prompt_once_each) {
  Case c{.logits = {2, 1.9F, 0, -1}, .params = {.temperature = 0, .repetition_penalty = 1.1F}};
  EXPECT_EQ(sample_id(c), 0);
  c.prompt = {0};
  EXPECT_EQ(sample_id(c), 1);  // 2 / 1.1 < 1.9
  c.logits = {2, 1.7F, 0, -1};
  c.prompt = {0, 0, 0};
  c.generated = {0};
  EXPECT_EQ(sample_id(c), 0);  // 2 / 1.1 > 1.7, however often it occurs
  c.logits = {-1, -1.05F};
  EXPECT_EQ(sample_id(c), 1);  // a negative logit is multiplied
}

TEST(Sampler, presence_and_frequency_penalties_count_generated_tokens_only) {
  Case c{.logits = {2, 1}, .params = {.temperature = 0, .presence_penalty = 1.5F}};
  c.prompt = {0, 0};
  EXPECT_EQ(sample_id(c), 0);
  c.generated = {0};
  EXPECT_EQ(sample_id(c), 1);
  c.params = {.temperature = 0, .frequency_penalty = 0.4F};
  c.generated = {0, 0};
  EXPECT_EQ(sample_id(c), 0);  // 2 - 0.8
  c.generated = {0, 0, 0};
  EXPECT_EQ(sample_id(c), 1);  // 2 - 1.2
}

TEST(Sampler, a_bias_of_100_forces_a_token_and_of_minus_100_forbids_it) {
  std::mt19937 random(1);
  Case c{.logits = random_logits(random, 50, 3)};
  for (int i = 0; i < 200; ++i) {
    c.uniform = philox_uniform(1, 0, i);
    c.params.logit_bias = {{17, 100}};
    EXPECT_EQ(sample_id(c), 17);
    c.params.logit_bias = {};
    for (int32_t id = 0; id < 49; ++id) c.params.logit_bias.push_back({id, -100});
    EXPECT_EQ(sample_id(c), 49);
  }
}

TEST(Sampler, top_k_of_1_a_tiny_top_p_and_min_p_of_1_are_greedy) {
  std::mt19937 random(2);
  for (int i = 0; i < 100; ++i) {
    Case c{.logits = random_logits(random, 100, 2), .uniform = philox_uniform(1, 0, i)};
    c.params.temperature = 0;
    const int32_t greedy = sample_id(c);
    c.params = {.top_k = 1};
    EXPECT_EQ(sample_id(c), greedy);
    c.params = {.top_p = 1e-9F};
    EXPECT_EQ(sample_id(c), greedy);
    c.params = {.min_p = 1};
    EXPECT_EQ(sample_id(c), greedy);
    c.params = {.temperature = 1e-6F};
    EXPECT_EQ(sample_id(c), greedy);
    c.params = {.temperature = 1e-44F};  // a denormal
    EXPECT_EQ(sample_id(c), greedy);
  }
}

TEST(Sampler, extreme_parameters_are_harmless_where_denormals_are_flushed) {
  std::thread flushed([] {
    flush_denormals();
    std::mt19937 random(2);
    Case c{.logits = random_logits(random, 100, 2), .prompt = {1, 2}, .generated = {3, 3}};
    const int32_t best =
        static_cast<int32_t>(std::max_element(c.logits.begin(), c.logits.end()) - c.logits.begin());
    for (const SamplingParams& params :
         std::initializer_list<SamplingParams>{{.temperature = 1e-44F},
                                               {.top_p = 1e-44F},
                                               {.temperature = 1e-38F, .min_p = 1e-44F}}) {
      c.params = params;
      EXPECT_EQ(sample_id(c), best);
    }
    c.params = {.presence_penalty = 3e38F,
                .frequency_penalty = -3e38F,
                .repetition_penalty = 1.2e-38F,
                .logit_bias = {{4, 3e38F}, {5, -3e38F}}};
    EXPECT_TRUE(sample(c));
  });
  flushed.join();
}

TEST(Sampler, the_smallest_and_the_largest_uniform_choose_what_is_allowed) {
  Case c{.logits = {0, 5, 5, 0}, .params = {.min_p = 0.5F}};
  c.uniform = 0;
  EXPECT_EQ(sample_id(c), 1);
  c.uniform = 1 - 0x1p-53;
  EXPECT_EQ(sample_id(c), 2);
}

TEST(Sampler, never_chooses_a_masked_or_banned_id) {
  std::mt19937 random(2);
  Case c{.logits = random_logits(random, 6, 0.1), .banned = {0, 5}, .masked = {1, 2}};
  c.logits[1] = 90;
  c.params.logit_bias = {{2, 100}};
  std::set<int32_t> seen;
  for (int i = 0; i < 200; ++i) {
    c.uniform = philox_uniform(3, 0, i);
    seen.insert(sample_id(c));
  }
  EXPECT_EQ(seen, (std::set<int32_t>{3, 4}));
  c.params.temperature = 0;
  EXPECT_TRUE(seen.count(sample_id(c)));
}

TEST(Sampler, refuses_a_row_with_nan_or_infinity_and_one_where_everything_is_masked) {
  Case c{.logits = {1, std::nanf(""), 2}};
  EXPECT_FALSE(sample(c));
  c.logits[1] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(sample(c));
  c.logits[1] = -std::numeric_limits<float>::infinity();  // a model may exclude a token
  EXPECT_TRUE(sample(c));
  c.banned = {0, 2};
  EXPECT_FALSE(sample(c));
}

TEST(Sampler, draws_follow_the_softmax) {
  std::mt19937 random(9);
  Case c{.logits = random_logits(random, 40, 1.5)};
  c.params.temperature = 0.8F;
  const std::map<int32_t, double> weights = slow_weights(c);
  double total = 0;
  for (const auto& [id, w] : weights) total += w;
  constexpr int kDraws = 200000;
  std::map<int32_t, int> count;
  const Sampler sampler(40, {});
  SampleScratch scratch(40);
  for (int i = 0; i < kDraws; ++i) {
    TokenInfo info;
    ASSERT_TRUE(sampler.sample({.logits = c.logits,
                                .params = c.params,
                                .prompt = {},
                                .generated = {},
                                .banned = {},
                                .uniform = philox_uniform(123, 0, i),
                                .top_logprobs = {}},
                               scratch, info));
    ++count[info.id];
  }
  double chi2 = 0;
  for (const auto& [id, w] : weights) {
    const double expected = kDraws * w / total;
    chi2 += (count[id] - expected) * (count[id] - expected) / expected;
  }
  EXPECT_LT(chi2, 72.1);  // 39 degrees of freedom: exceeded with probability 0.001
}

TEST(Sampler, logprobs_are_the_log_softmax_of_the_raw_logits) {
  std::mt19937 random(4);
  Case c{.logits = random_logits(random, 500, 3), .prompt = {3}, .generated = {4}, .masked = {7}};
  c.params = {.temperature = 0.3F, .top_k = 5, .repetition_penalty = 1.5F, .logit_bias = {{8, 9}}};
  const TokenInfo info = sample(c, 20).value();
  double sum = 0;
  for (const float l : c.logits) sum += std::exp(double{l});
  const auto expected = [&](int32_t id) { return c.logits[id] - std::log(sum); };
  EXPECT_NEAR(info.logprob, expected(info.id), 1e-6);
  ASSERT_EQ(info.top.size(), 20U);
  std::vector<float> sorted = c.logits;
  std::sort(sorted.rbegin(), sorted.rend());
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(c.logits[info.top[i].id], sorted[i]);
    EXPECT_NEAR(info.top[i].logprob, expected(info.top[i].id), 1e-6);
  }
}

TEST(Sampler, the_logprob_of_the_greedy_token_is_the_largest_of_the_top) {
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    Case c{.logits = random_logits(random, 300, 2), .params = {.temperature = 0}};
    const TokenInfo info = sample(c, 1 + round % 5).value();
    EXPECT_EQ(info.id, info.top[0].id);
    EXPECT_EQ(info.logprob, info.top[0].logprob);  // exactly: evaluation harnesses compare so
  }
}

TEST(Sampler, top_logprobs_break_ties_by_the_lower_id) {
  Case c{.logits = {1, 5, 5, 0, 5, 1}, .params = {.temperature = 0}};
  const TokenInfo info = sample(c, 5).value();
  std::vector<int32_t> ids;
  for (const TokenLogprob& t : info.top) ids.push_back(t.id);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 4, 0, 5}));
  EXPECT_TRUE(sample(c, 0).value().top.empty());
  EXPECT_EQ(sample(c, 100).value().top.size(), 6U);
}

TEST(Sampler, top_p_keeps_the_same_tokens_in_a_full_vocabulary_of_100352) {
  std::mt19937 random(6);
  for (int round = 0; round < 6; ++round) {
    Case c{.logits = random_logits(random, 100352, round < 3 ? 3 : 0.01)};
    c.params = {.top_p = round % 3 == 0 ? 0.9F : round % 3 == 1 ? 0.999F : 0.3F};
    c.uniform = philox_uniform(8, 0, round);
    EXPECT_EQ(sample_id(c), slow_sample(c));
  }
}

}  // namespace
}  // namespace dbrx
