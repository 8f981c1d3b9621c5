#include "model/config.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/temporary_folder.h"
#include "model/parameters.h"

namespace dbrx {
namespace {

// The released configuration, with what else the published file carries.
const std::string& released() {
  static const std::string text = read_text_file("testdata/dbrx/config.json", 1 << 16);
  return text;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string error_of(const std::string& json) {
  try {
    parse_config(json, "config.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, TheReleasedFormIsRead) {
  const ModelConfig config = parse_config(released(), "config.json");
  EXPECT_EQ(config.d_model, 6144);
  EXPECT_EQ(config.n_layers, 40);
  EXPECT_EQ(config.n_heads, 48);
  EXPECT_EQ(config.n_kv_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.ffn_hidden, 10752);
  EXPECT_EQ(config.max_seq_len, 32768);
  EXPECT_EQ(config.clip_qkv, 8.0F);
  EXPECT_EQ(config.rope_theta, 500000);
  EXPECT_EQ(config.norm_eps, 1e-5F);
  EXPECT_EQ(config.router_norm_p, 1);
}

TEST(Config, BothFormsOfTheTinyModelAgree) {
  const ModelConfig old_form = load_config("testdata/tiny");
  const ModelConfig new_form = load_config("testdata/tiny-bf16");
  EXPECT_EQ(old_form.rope_theta, 500000);
  EXPECT_EQ(new_form.rope_theta, old_form.rope_theta);
  EXPECT_EQ(new_form.clip_qkv, old_form.clip_qkv);
  EXPECT_EQ(new_form.ffn_hidden, 96);
}

TEST(Config, TheReleasedModelHasExactlyItsPublishedParameters) {
  const ModelConfig config = parse_config(released(), "config.json");
  const ParameterCount count = count_parameters(config);
  EXPECT_EQ(count.total, 131'596'523'520);
  EXPECT_EQ(count.n_tensors, 323);
  EXPECT_EQ(count.active, 36'469'708'800);
  EXPECT_EQ(count.active - count.components[0].total, 35'853'146'112);
  EXPECT_EQ(n_expert_sets(config), 1820);
}

TEST(Config, ThetaComesFromTheNewestPlaceThatHasIt) {
  const std::string both =
      replaced(released(), "\"use_cache\": true",
               R"("rope_parameters": {"rope_type": "default", "rope_theta": 500000})");
  EXPECT_EQ(parse_config(both, "c").rope_theta, 500000);
  const std::string only_new = replaced(both, ",\n    \"rope_theta\": 500000", "");
  EXPECT_EQ(parse_config(only_new, "c").rope_theta, 500000);
  EXPECT_EQ(
      error_of(replaced(both, "\"default\", \"rope_theta\": 500000",
                        "\"default\", \"rope_theta\": 1e4")),
      "config.json: attn_config.rope_theta: the file gives two different values, 10000.000000 and "
      "500000.000000");
  EXPECT_NE(
      error_of(replaced(both, "\"default\"", "\"yarn\"")).find("expected 'default', found 'yarn'"),
      std::string::npos);
}

TEST(Config, TheNormOfRoutingWeightsIsOneWhenAbsentAndOffWhenNull) {
  const auto with = [](const char* value) {
    return replaced(released(), "\"moe_top_k\": 4",
                    std::string("\"moe_top_k\": 4, \"moe_normalize_expert_weights\": ") + value);
  };
  EXPECT_EQ(parse_config(with("null"), "c").router_norm_p, 0);
  EXPECT_EQ(parse_config(with("0"), "c").router_norm_p, 0);
  EXPECT_EQ(parse_config(with("2.0"), "c").router_norm_p, 2);
  EXPECT_NE(error_of(with("3")).find("moe_normalize_expert_weights"), std::string::npos);
}

TEST(Config, UnknownSubKeysAreIgnoredAndGenerationSettingsAmongThemHaveNoEffect) {
  const std::string dump =
      replaced(released(), "\"moe_top_k\": 4",
               R"("moe_top_k": 4, "top_k": 50, "temperature": 1.0, "id2label": {})");
  EXPECT_EQ(parse_config(dump, "c").top_k, 4);
}

TEST(Config, ContradictionsAreNamed) {
  EXPECT_NE(error_of(replaced(released(), "\"n_heads\": 48", "\"n_heads\": 47")).find("n_heads"),
            std::string::npos);
  EXPECT_NE(
      error_of(replaced(released(), "\"kv_n_heads\": 8", "\"kv_n_heads\": 7")).find("kv_n_heads"),
      std::string::npos);
  EXPECT_NE(
      error_of(replaced(released(), "\"moe_top_k\": 4", "\"moe_top_k\": 17")).find("moe_top_k"),
      std::string::npos);
  EXPECT_NE(
      error_of(replaced(released(), "\"moe_top_k\": 4", "\"moe_top_k\": 4, \"hidden_size\": 1"))
          .find("differs from d_model"),
      std::string::npos);
  EXPECT_NE(error_of(replaced(released(), "\"tie_word_embeddings\": false",
                              "\"tie_word_embeddings\": true"))
                .find("tie_word_embeddings"),
            std::string::npos);
  EXPECT_EQ(error_of(replaced(released(), "\"d_model\": 6144", "\"d_model\": \"big\"")),
            "config.json: d_model: expected a whole number, found \"big\"");
  EXPECT_NE(error_of(replaced(released(), "\"d_model\": 6144,", "")).find("d_model: missing"),
            std::string::npos);
  EXPECT_NE(error_of(replaced(released(), "\"moe_top_k\": 4",
                              "\"moe_top_k\": 4, \"ffn_act_fn\": {\"name\": \"gelu\"}"))
                .find("expected 'silu', found 'gelu'"),
            std::string::npos);
}

TEST(Config, SizesThatNoModelHasAreRefusedBeforeAnythingIsMadeOfThem) {
  const auto error_with = [](const char* from, const char* to) {
    return error_of(replaced(released(), from, to));
  };
  EXPECT_NE(error_with("\"n_heads\": 48", "\"n_heads\": 16")
                .find("head dimension d_model / n_heads = 384 is more than 256"),
            std::string::npos);
  EXPECT_NE(
      error_with("\"n_layers\": 40", "\"n_layers\": 2000").find("n_layers: 2000 is more than 1024"),
      std::string::npos);
  EXPECT_NE(error_with("\"moe_num_experts\": 16", "\"moe_num_experts\": 5000")
                .find("moe_num_experts: 5000 is more than"),
            std::string::npos);
  EXPECT_NE(error_with("\"vocab_size\": 100352", "\"vocab_size\": 262145")
                .find("vocab_size: 262145 is more than 262144"),
            std::string::npos);
  EXPECT_NE(error_with("\"ffn_hidden_size\": 10752", "\"ffn_hidden_size\": 131073")
                .find("ffn_hidden_size: 131073 is more than 131072"),
            std::string::npos);
  EXPECT_EQ(
      error_with("\"max_seq_len\": 32768", "\"max_seq_len\": 2147483647"),
      "config.json: max_seq_len: expected a whole number from 1 to 1048576, found 2147483647");
}

TEST(Config, TheNumberOfExpertSetsSaturates) {
  ModelConfig config;
  config.n_experts = 1024;
  config.top_k = 512;
  EXPECT_EQ(n_expert_sets(config), std::numeric_limits<int64_t>::max());
  config.top_k = 2;
  EXPECT_EQ(n_expert_sets(config), 1024 * 1023 / 2);
}

TEST(Config, OtherFamiliesAndQuantizedCheckpointsAreRefusedByName) {
  EXPECT_NE(error_of(R"({"model_type": "bert"})").find("model_type 'bert' is not supported"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"model_type": "dbrx", "quantization_config": {"quant_method": "gptq"}})")
                .find("quantized with gptq"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"model_type": "dbrx", "quantization": {"bits": 4}})").find("MLX"),
            std::string::npos);
  EXPECT_EQ(parse_config(
                replaced(released(), "\"use_cache\": true", "\"quantization_config\": null"), "c")
                .n_layers,
            40);
}

TEST(GenerationConfig, EndOfTextIdsComeAsOneOrAsAList) {
  const ModelConfig config = load_config("testdata/tiny");
  EXPECT_EQ(load_generation_config("testdata/tiny", config).eos_token_ids,
            (std::vector<int32_t>{257, 279}));
  const TemporaryFolder folder;
  folder.write("generation_config.json", R"({"eos_token_id": 7})");
  EXPECT_EQ(load_generation_config(folder.path(), config).eos_token_ids, std::vector<int32_t>{7});
  folder.write("generation_config.json", R"({"eos_token_id": 100000})");
  EXPECT_THROW(load_generation_config(folder.path(), config), Error);
}

}  // namespace
}  // namespace dbrx
