#include "model/quality.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "tensor/safetensors.h"

namespace dbrx {
namespace {

template <typename T>
std::vector<T> golden(const std::string& name) {
  for (const Tensor& tensor : open_safetensors("testdata/goldens/t38.safetensors")) {
    if (tensor.name != name) continue;
    std::vector<T> out(tensor.bytes.size() / sizeof(T));
    std::memcpy(out.data(), tensor.bytes.data(), tensor.bytes.size());
    return out;
  }
  ADD_FAILURE() << name;
  return {};
}

std::vector<std::vector<int32_t>> one_text(std::vector<int32_t> tokens) {
  return {std::move(tokens)};
}

class QualityTest : public ::testing::Test {
 protected:
  void SetUp() override { flush_denormals(); }

  Context context_{choose_isa({}), 2};
  std::unique_ptr<Model> model_ = load_model("testdata/tiny", {});
};

// The same from the logits that transformers computed, by the plain formula.
TEST_F(QualityTest, PerplexityIsThatOfTheReferenceImplementation) {
  const auto tokens = golden<int32_t>("tokens");
  const auto logits = golden<float>("logits");
  const size_t vocab = logits.size() / tokens.size();
  double sum = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const float* row = logits.data() + i * vocab;
    double total = 0;
    for (size_t v = 0; v < vocab; ++v) total += std::exp(double{row[v]});
    sum -= std::log(std::exp(double{row[tokens[i + 1]]}) / total);
  }
  const double want = std::exp(sum / static_cast<double>(tokens.size() - 1));
  const Quality got = measure_quality(context_, *model_, nullptr, one_text(tokens),
                                      {.window = 64, .kv_format = Format::f32});
  EXPECT_EQ(got.n_positions, 38);
  EXPECT_EQ(got.n_predicted, 37);
  // Logits agree to 1e-4 (golden_test.cc): the mean of differences of two of them to twice that.
  EXPECT_NEAR(got.perplexity / want, 1, 2e-4);
  EXPECT_FALSE(got.divergence.has_value());
}

TEST_F(QualityTest, AModelDoesNotDivergeFromItself) {
  const auto tokens = golden<int32_t>("tokens");
  const Quality got =
      measure_quality(context_, *model_, model_.get(), one_text(tokens), {.window = 16});
  EXPECT_EQ(got.n_predicted, 15 + 15 + 5);  // windows of 16, 16 and 6
  ASSERT_TRUE(got.divergence.has_value());
  EXPECT_EQ(got.divergence->mean_kl, 0);
  EXPECT_EQ(got.divergence->p99_kl, 0);
  EXPECT_EQ(got.divergence->max_kl, 0);
  EXPECT_EQ(got.divergence->top1_agreement, 1);
  EXPECT_EQ(got.divergence->reference_perplexity, got.perplexity);
  EXPECT_EQ(got.divergence->router_agreement,
            std::vector<double>(static_cast<size_t>(model_->config().n_layers), 1));
}

// Texts and windows of the same tokens are the same thing.
TEST_F(QualityTest, TextsDoNotSeeEachOther) {
  const auto tokens = golden<int32_t>("tokens");
  std::vector<std::vector<int32_t>> cut;
  for (size_t i = 0; i < tokens.size(); i += 16) {
    const auto n = static_cast<std::ptrdiff_t>(std::min<size_t>(16, tokens.size() - i));
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i);
    cut.emplace_back(begin, begin + n);
  }
  const Quality windows =
      measure_quality(context_, *model_, nullptr, one_text(tokens), {.window = 16});
  EXPECT_EQ(measure_quality(context_, *model_, nullptr, cut, {.window = 64}).perplexity,
            windows.perplexity);
}

// Other weights than the tiny model's: they predict and route otherwise.
TEST_F(QualityTest, AnotherModelDiverges) {
  const std::unique_ptr<Model> other = load_model("testdata/tiny-bf16", {});
  const auto tokens = golden<int32_t>("tokens");
  const Quality got =
      measure_quality(context_, *model_, other.get(), one_text(tokens), {.window = 64});
  const Quality back =
      measure_quality(context_, *other, model_.get(), one_text(tokens), {.window = 64});
  EXPECT_GT(got.divergence->mean_kl, 0);
  EXPECT_LE(got.divergence->mean_kl, got.divergence->p99_kl);
  EXPECT_LE(got.divergence->p99_kl, got.divergence->max_kl);
  EXPECT_EQ(got.divergence->top1_agreement, back.divergence->top1_agreement);
  EXPECT_EQ(got.divergence->router_agreement, back.divergence->router_agreement);
  EXPECT_EQ(got.divergence->reference_perplexity, back.perplexity);
}

TEST_F(QualityTest, BadRequestsAreErrors) {
  const auto one = one_text({1});
  const auto two = one_text({1, 2});
  EXPECT_THROW(measure_quality(context_, *model_, nullptr, one, {.window = 16}), Error);
  EXPECT_THROW(measure_quality(context_, *model_, nullptr, two, {.window = 1}), Error);
  EXPECT_THROW(measure_quality(context_, *model_, nullptr, two, {.window = int64_t{1} << 40}),
               Error);
}

// By hand: p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2); sum p log(p / q) = log(2) / 4.
TEST(KlDivergence, IsTheSumByHand) {
  const std::vector<float> p = {std::log(2.0F) + 90, 90, 90};
  const std::vector<float> q = {-7, -7, std::log(2.0F) - 7};
  std::vector<double> log_p(3), log_q(3);
  log_softmax(p, log_p);
  log_softmax(q, log_q);
  EXPECT_NEAR(log_p[0], std::log(0.5), 1e-5);
  EXPECT_NEAR(log_q[0], std::log(0.25), 1e-6);
  EXPECT_NEAR(kl_divergence(log_p, log_q), std::log(2.0) / 4, 1e-5);
  EXPECT_EQ(kl_divergence(log_p, log_p), 0);
}

}  // namespace
}  // namespace dbrx
