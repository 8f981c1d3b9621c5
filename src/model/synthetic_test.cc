// Routing of synthetic models: what is drawn or read, and that the model follows it.
#include "model/synthetic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "model/synthetic_routing.h"

namespace dbrx {
namespace {

ModelConfig small_config() {
  ModelConfig config = dbrx_geometry(/*n_layers=*/3, /*vocab_size=*/96);
  config.d_model = 256;
  config.n_heads = 2;
  config.n_kv_heads = 1;
  config.ffn_hidden = 192;
  return config;
}

// Tokens that go to expert e of layer 0, over all tokens.
std::vector<double> shares(const ModelConfig& config, const std::vector<int32_t>& routing) {
  std::vector<double> out(static_cast<size_t>(config.n_experts));
  for (int64_t t = 0; t < config.vocab_size; ++t) {
    for (int64_t i = 0; i < config.top_k; ++i) {
      const int32_t e = routing[static_cast<size_t>(t * config.n_layers * config.top_k + i)];
      out[static_cast<size_t>(e)] += 1 / static_cast<double>(config.vocab_size);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST(SyntheticRouting, DrawsDifferentExpertsAndTheirPopularity) {
  const ModelConfig config = dbrx_geometry(2, 20000);
  for (const double exponent : {0.0, 0.5, 1.0}) {
    const std::vector<int32_t> routing = zipf_routing(config, exponent, 1);
    ASSERT_EQ(routing.size(), 20000U * 2 * 4);
    for (size_t i = 0; i < routing.size(); i += 4) {
      EXPECT_TRUE(0 <= routing[i] && routing[i] < routing[i + 1] &&
                  routing[i + 1] < routing[i + 2] && routing[i + 2] < routing[i + 3] &&
                  routing[i + 3] < 16);
    }
  }
  // 20000 tokens: a share is exact to about 0.0035 (one standard deviation) or better.
  const std::vector<double> uniform = shares(config, zipf_routing(config, 0, 1));
  EXPECT_NEAR(uniform.front(), 0.25, 0.015);
  EXPECT_NEAR(uniform.back(), 0.25, 0.015);
  // One minus the chance of never being drawn, summed over all draws of four other experts.
  const std::vector<double> zipf = shares(config, zipf_routing(config, 1, 1));
  EXPECT_NEAR(zipf.back(), 0.8037, 0.015);
  EXPECT_NEAR(zipf.front(), 0.0932, 0.015);
  EXPECT_NE(zipf_routing(config, 1, 1), zipf_routing(config, 1, 2));
}

TEST(SyntheticRouting, AFileRepeatsAndItsMistakesAreNamed) {
  const TemporaryFolder folder;
  ModelConfig config = small_config();
  config.n_layers = 2;
  config.vocab_size = 3;
  const auto read = [&](const std::string& text) {
    return read_routing(folder.write("routing.jsonl", text), config);
  };
  const std::string one = "[[3, 2, 1, 0], [4, 5, 6, 15]]\n";
  const std::vector<int32_t> want = {0, 1, 2, 3, 4, 5, 6, 15, 8, 9, 10, 11,
                                     0, 1, 2, 3, 0, 1, 2, 3,  4, 5, 6,  15};
  EXPECT_EQ(read(one + "[[8, 9, 10, 11], [0, 1, 2, 3], [12, 13, 14, 15]]\n"), want);
  for (const char* bad :
       {"", "{}\n", "[[0, 1, 2, 3]]\n", "[[0, 1, 2], [0, 1, 2, 3]]\n",
        "[[0, 1, 2, 16], [0, 1, 2, 3]]\n", "[[0, 1, 2, 2], [0, 1, 2, 3]]\n", "[[0, 1"}) {
    EXPECT_THROW(read(bad), Error) << bad;
  }
  try {
    read(one + "[[0, 1, 2, 99], [0, 1, 2, 3]]\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
  }
}

TEST(Synthetic, EveryTokenGoesWhereItsRoutingSays) {
  flush_denormals();
  const ModelConfig config = small_config();
  const std::vector<int32_t> routing = zipf_routing(config, 0.5, 3);
  Context context(choose_isa({}), 2);
  for (const Format format : {Format::bf16, Format::int8, Format::int4}) {
    const std::unique_ptr<Model> model =
        synthetic_dbrx(context, {.config = config,
                                 .experts = format,
                                 .dense = is_integer(format) ? Format::int8 : format,
                                 .routing = routing});
    KvCache cache(config, Format::bf16, 2);
    Batch batch;
    batch.tokens.resize(96);
    std::iota(batch.tokens.begin(), batch.tokens.end(), 0);
    batch.positions = batch.tokens;
    batch.spans = {{.first_row = 0, .n_rows = 96, .n_past = 0, .blocks = {0, 1}}};
    StepOutput output;
    output.want_routing = true;
    ASSERT_EQ(model->forward(context, batch, cache, output), StepResult::ok);
    for (int64_t layer = 0; layer < config.n_layers; ++layer) {
      for (int64_t t = 0; t < 96; ++t) {
        for (int64_t i = 0; i < 4; ++i) {
          EXPECT_EQ(output.expert_ids[static_cast<size_t>((layer * 96 + t) * 4 + i)],
                    routing[static_cast<size_t>((t * config.n_layers + layer) * 4 + i)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace dbrx
