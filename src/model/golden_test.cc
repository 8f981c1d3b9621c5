// The tiny DBRX of testdata/ end to end against an independent implementation (python/goldens),
// step by step through the taps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "model/dbrx.h"
#include "model/model.h"
#include "tensor/safetensors.h"

namespace dbrx {
namespace {

class Golden {
 public:
  explicit Golden(const std::string& name, std::string prefix = "")
      : prefix_(std::move(prefix)),
        tensors_(open_safetensors("testdata/goldens/" + name + ".safetensors")) {}

  const Tensor* find(const std::string& name) const {
    for (const Tensor& tensor : tensors_) {
      if (tensor.name == prefix_ + name) return &tensor;
    }
    return nullptr;
  }

  template <typename T>
  std::vector<T> values(const std::string& name) const {
    const Tensor* tensor = find(name);
    if (tensor == nullptr) throw Error(Code::not_found, "no golden '" + prefix_ + name + "'");
    std::vector<T> out(tensor->bytes.size() / sizeof(T));
    std::memcpy(out.data(), tensor->bytes.data(), tensor->bytes.size());
    return out;
  }

 private:
  std::string prefix_;
  std::vector<Tensor> tensors_;
};

// All taps of a run by "layers.i.name" or "name", with rows of successive steps appended.
using Taps = std::map<std::string, std::vector<float>>;

struct RunResult {
  Taps taps;
  std::vector<int32_t> expert_ids;  // [layers, rows, k] of the last step
};

Tap collect_into(Taps& taps) {
  return [&taps](int64_t layer, std::string_view name, MatrixView<const float> value) {
    const std::string prefix = layer < 0 ? "" : "layers." + std::to_string(layer) + ".";
    std::vector<float>& all = taps[prefix + std::string(name)];
    for (int64_t r = 0; r < value.rows; ++r) {
      all.insert(all.end(), value.row(r), value.row(r) + value.cols);
    }
  };
}

// Runs one sequence in steps of the given lengths, logits of every row.
RunResult run(Model& model, Isa isa, Format kv, const std::vector<int32_t>& tokens,
              const std::vector<int32_t>& positions, const std::vector<int64_t>& steps) {
  flush_denormals();
  Context context(isa, 2);
  KvCache cache(model.config(), kv, 4);
  RunResult out;
  StepOutput output;
  output.want_routing = true;
  output.tap = collect_into(out.taps);
  int64_t past = 0;
  for (const int64_t n : steps) {
    Batch batch;
    batch.tokens.assign(tokens.begin() + past, tokens.begin() + past + n);
    batch.positions.assign(positions.begin() + past, positions.begin() + past + n);
    batch.spans.push_back({.first_row = 0, .n_rows = n, .n_past = past, .blocks = {2}});
    batch.logit_rows.resize(static_cast<size_t>(n));
    std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
    EXPECT_EQ(model.forward(context, batch, cache, output), StepResult::ok);
    past += n;
  }
  out.expert_ids = output.expert_ids;
  return out;
}

// Largest difference over the largest magnitude.
double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  EXPECT_EQ(got.size(), want.size());
  double difference = 0, magnitude = 1e-6;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    difference = std::max(difference, std::fabs(double{got[i]} - double{want[i]}));
    magnitude = std::max(magnitude, std::fabs(double{want[i]}));
  }
  return difference / magnitude;
}

double max_error(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference = std::max(difference, std::fabs(double{got[i]} - double{want[i]}));
  }
  return difference;
}

// Hidden states to 1e-5 relative, logits to 1e-4 absolute: the tolerances of the reference itself.
void expect_all_taps(const Golden& golden, const Taps& taps, int64_t n_layers) {
  for (int64_t i = 0; i < n_layers; ++i) {
    for (const char* name :
         {"norm_1", "qkv", "qkv_clipped", "q_rope", "k_rope", "attention", "attention_out",
          "norm_2", "router_logits", "router_probs", "expert_weights", "expert_out", "block_out"}) {
      const std::string key = "layers." + std::to_string(i) + "." + name;
      EXPECT_LE(relative_error(taps.at(key), golden.values<float>(key)), 1e-5) << key;
    }
  }
  EXPECT_LE(relative_error(taps.at("norm_f"), golden.values<float>("norm_f")), 1e-5);
  EXPECT_LE(max_error(taps.at("logits"), golden.values<float>("logits")), 1e-4);
}

void expect_expert_ids(const Golden& golden, const RunResult& run, int64_t n_layers) {
  std::vector<int32_t> want;
  for (int64_t i = 0; i < n_layers; ++i) {
    const auto ids = golden.values<int32_t>("layers." + std::to_string(i) + ".expert_ids");
    want.insert(want.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(run.expert_ids, want);
}

std::vector<Isa> runnable_isas() {
  std::vector<Isa> out;
  for (int i = 0; i <= static_cast<int>(detect_isa()); ++i) out.push_back(static_cast<Isa>(i));
  return out;
}

class GoldenF32 : public testing::TestWithParam<std::tuple<Isa, std::string>> {};

TEST_P(GoldenF32, EveryTapAgreesWithTheReference) {
  const auto& [isa, name] = GetParam();
  const auto model = load_model("testdata/tiny", {});
  const Golden golden(name);
  const auto tokens = golden.values<int32_t>("tokens");
  const RunResult result =
      run(*model, isa, Format::f32, tokens, golden.values<int32_t>("positions"),
          {static_cast<int64_t>(tokens.size())});
  expect_all_taps(golden, result.taps, model->config().n_layers);
  expect_expert_ids(golden, result, model->config().n_layers);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, GoldenF32,
                         testing::Combine(testing::ValuesIn(runnable_isas()),
                                          testing::Values("t1", "t7", "t38", "offset30000")));

// The weights are those of testdata/tiny; only the norm of the routing weights differs.
class GoldenRouterNorm : public testing::TestWithParam<std::pair<std::string, float>> {};

TEST_P(GoldenRouterNorm, EveryTapAgreesWithTheReference) {
  const auto& [name, norm_p] = GetParam();
  ModelConfig config = load_config("testdata/tiny");
  config.router_norm_p = norm_p;
  const auto model = load_dbrx(config, Checkpoint::open("testdata/tiny"), {});
  const Golden golden(name);
  const auto tokens = golden.values<int32_t>("tokens");
  const RunResult result =
      run(*model, choose_isa({}), Format::f32, tokens, golden.values<int32_t>("positions"),
          {static_cast<int64_t>(tokens.size())});
  expect_all_taps(golden, result.taps, config.n_layers);
  expect_expert_ids(golden, result, config.n_layers);
}

INSTANTIATE_TEST_SUITE_P(OffAndTwo, GoldenRouterNorm,
                         testing::Values(std::pair("t7_nonorm", 0.0F),
                                         std::pair("t7_norm2", 2.0F)));

TEST(GoldenF32Chunks, PrefillThenSingleTokenDecodesEqualOnePrefillBitForBit) {
  const auto model = load_model("testdata/tiny", {});
  const Golden golden("t38");
  const auto tokens = golden.values<int32_t>("tokens");
  const auto positions = golden.values<int32_t>("positions");
  for (const Format kv : {Format::f32, Format::bf16}) {
    const RunResult whole = run(*model, choose_isa({}), kv, tokens, positions, {38});
    const RunResult parts = run(*model, choose_isa({}), kv, tokens, positions, {33, 1, 1, 1, 1, 1});
    EXPECT_EQ(whole.taps.at("logits"), parts.taps.at("logits"));
    const RunResult scalar = run(*model, Isa::scalar, kv, tokens, positions, {20, 17, 1});
    EXPECT_EQ(whole.taps.at("logits"), scalar.taps.at("logits"));
  }
}

TEST(GoldenF32Batch, TwoSequencesInOneBatchAgreeWithTheReferenceEach) {
  const auto model = load_model("testdata/tiny", {});
  const Golden first("batch2", "seq0."), second("batch2", "seq1.");
  Batch batch;
  int64_t row = 0;
  int32_t block = 0;
  for (const Golden* golden : {&first, &second}) {
    const auto tokens = golden->values<int32_t>("tokens");
    const auto positions = golden->values<int32_t>("positions");
    batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
    batch.positions.insert(batch.positions.end(), positions.begin(), positions.end());
    const auto n = static_cast<int64_t>(tokens.size());
    batch.spans.push_back({.first_row = row, .n_rows = n, .n_past = 0, .blocks = {block++}});
    row += n;
  }
  batch.logit_rows.resize(static_cast<size_t>(row));
  std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), 0);
  flush_denormals();
  Context context(choose_isa({}), 2);
  KvCache cache(model->config(), Format::f32, 2);
  StepOutput output;
  ASSERT_EQ(model->forward(context, batch, cache, output), StepResult::ok);
  std::vector<float> want = first.values<float>("logits");
  const auto rest = second.values<float>("logits");
  want.insert(want.end(), rest.begin(), rest.end());
  EXPECT_LE(max_error(output.logits, want), 1e-4);
}

double cosine(const float* a, const float* b, size_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < n; ++i) {
    ab += double{a[i]} * double{b[i]};
    aa += double{a[i]} * double{a[i]};
    bb += double{b[i]} * double{b[i]};
  }
  return ab / std::sqrt(aa * bb);
}

// The reference rounds to bf16 in other places than we do, so the comparison is of directions and
// of routing where the reference's choice was not close.
class GoldenBf16 : public testing::TestWithParam<std::tuple<Isa, std::string>> {};

TEST_P(GoldenBf16, LayersPointTheSameWayAndClearRoutingAgrees) {
  const auto& [isa, name] = GetParam();
  const auto model = load_model("testdata/tiny-bf16", {});
  const Golden golden(name);
  const auto tokens = golden.values<int32_t>("tokens");
  const auto rows = static_cast<int64_t>(tokens.size());
  std::vector<int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0);
  const RunResult result = run(*model, isa, Format::bf16, tokens, positions, {rows});
  const ModelConfig& config = model->config();
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    const auto want = golden.values<float>(layer + "block_out");
    const auto& got = result.taps.at(layer + "block_out");
    ASSERT_EQ(got.size(), want.size());
    EXPECT_GE(cosine(got.data(), want.data(), want.size()), 0.999) << layer;
    const auto router = golden.values<float>(layer + "router_logits");
    const auto ids = golden.values<int32_t>(layer + "expert_ids");
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> sorted(router.begin() + r * config.n_experts,
                                router.begin() + (r + 1) * config.n_experts);
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      const auto k = static_cast<size_t>(config.top_k);
      if (sorted[k - 1] - sorted[k] <= 0.05F) continue;
      for (int64_t j = 0; j < config.top_k; ++j) {
        EXPECT_EQ(result.expert_ids[static_cast<size_t>((i * rows + r) * config.top_k + j)],
                  ids[static_cast<size_t>(r * config.top_k + j)]);
      }
    }
  }
  const auto want = golden.values<float>("logits");
  EXPECT_GE(cosine(result.taps.at("logits").data(), want.data(), want.size()), 0.999);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, GoldenBf16,
                         testing::Combine(testing::ValuesIn(runnable_isas()),
                                          testing::Values("bf16_t7", "bf16_t38")));

}  // namespace
}  // namespace dbrx
