// Checkpoints in every form that is found in the wild, and every way in which one can be broken.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "model/model.h"
#include "tensor/format.h"
#include "tensor/safetensors.h"

namespace dbrx {
namespace {

using namespace std::string_literals;

struct Stored {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

// The tensors of testdata/tiny, to be renamed, cut and broken.
std::vector<Stored> tiny_tensors() {
  std::vector<Stored> out;
  for (const Tensor& tensor : open_safetensors("testdata/tiny/model.safetensors")) {
    out.push_back(
        {tensor.name, tensor.dtype, tensor.shape,
         std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size())});
  }
  return out;
}

std::string safetensors_bytes(const std::vector<Stored>& tensors) {
  boost::json::object header;
  uint64_t at = 0;
  for (const Stored& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", boost::json::value_from(tensor.shape)},
                           {"data_offsets", {at, at + tensor.bytes.size()}}};
    at += tensor.bytes.size();
  }
  const std::string text = boost::json::serialize(header);
  const uint64_t length = text.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  out += text;
  for (const Stored& tensor : tensors) out += tensor.bytes;
  return out;
}

class Variant {
 public:
  Variant() {
    std::filesystem::copy_file("testdata/tiny/config.json", folder_.path() / "config.json");
  }
  const TemporaryFolder& folder() const { return folder_; }
  void write(const std::vector<Stored>& tensors) const {
    folder_.write("model.safetensors", safetensors_bytes(tensors));
  }
  std::string error() const {
    try {
      load_model(folder_.path(), {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

 private:
  TemporaryFolder folder_;
};

std::vector<float> logits_of(const std::filesystem::path& dir) {
  const auto model = load_model(dir, {});
  flush_denormals();
  Context context(choose_isa({}), 1);
  KvCache cache(model->config(), Format::f32, 1);
  Batch batch;
  batch.tokens = {3, 141, 59, 26, 5};
  batch.positions = {0, 1, 2, 3, 4};
  batch.spans.push_back({.first_row = 0, .n_rows = 5, .n_past = 0, .blocks = {0}});
  batch.logit_rows = {4};
  StepOutput output;
  EXPECT_EQ(model->forward(context, batch, cache, output), StepResult::ok);
  return output.logits;
}

constexpr int64_t kD = 64, kF = 96, kE = 8;

// [rows, cols] -> [cols, rows] of 4-byte values
std::string transposed(const std::string& bytes, int64_t rows, int64_t cols) {
  std::string out(bytes.size(), '\0');
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      std::memcpy(out.data() + (c * rows + r) * 4, bytes.data() + (r * cols + c) * 4, 4);
    }
  }
  return out;
}

// One tensor per expert, under names "<prefix><e>.w1.weight".
std::vector<Stored> unfused(const std::string& prefix, bool transpose_down) {
  std::vector<Stored> out;
  for (const Stored& tensor : tiny_tensors()) {
    const size_t at = tensor.name.find("ffn.experts.mlp.");
    if (at == std::string::npos) {
      out.push_back(tensor);
      continue;
    }
    const std::string matrix = tensor.name.substr(tensor.name.size() - 2);
    const size_t bytes = tensor.bytes.size() / kE;
    for (int64_t e = 0; e < kE; ++e) {
      const bool turn = matrix == "w2" && transpose_down;
      std::string part = tensor.bytes.substr(static_cast<size_t>(e) * bytes, bytes);
      if (turn) part = transposed(part, kF, kD);
      out.push_back(
          {tensor.name.substr(0, at) + prefix + std::to_string(e) + "." + matrix + ".weight",
           tensor.dtype, turn ? std::vector<int64_t>{kD, kF} : std::vector<int64_t>{kF, kD}, part});
    }
  }
  return out;
}

TEST(Load, EveryUnfusedNamingSchemeGivesTheBitsOfTheFusedForm) {
  const std::vector<float> want = logits_of("testdata/tiny");
  for (const char* prefix : {"ffn.experts.mlp.", "ffn.experts.mlp_experts.", "ffn.experts."}) {
    for (const bool transpose_down : {true, false}) {
      const Variant variant;
      variant.write(unfused(prefix, transpose_down));
      EXPECT_EQ(logits_of(variant.folder().path()), want) << prefix << transpose_down;
    }
  }
}

TEST(Load, ShardsWithAnIndexGiveTheBitsOfOneFile) {
  const Variant variant;
  boost::json::object map;
  std::vector<Stored> shards[2];
  for (const Stored& tensor : tiny_tensors()) {
    const int shard = tensor.name.ends_with("w2") ? 1 : 0;
    shards[shard].push_back(tensor);
    map[tensor.name] = shard == 0 ? "a.safetensors" : "b.safetensors";
  }
  variant.folder().write("a.safetensors", safetensors_bytes(shards[0]));
  variant.folder().write("b.safetensors", safetensors_bytes(shards[1]));
  variant.folder().write("model.safetensors.index.json",
                         boost::json::serialize(boost::json::object{{"weight_map", map}}));
  EXPECT_EQ(logits_of(variant.folder().path()), logits_of("testdata/tiny"));
  std::filesystem::remove(variant.folder().path() / "b.safetensors");
  EXPECT_NE(variant.error().find("b.safetensors: shard named by"), std::string::npos);
}

TEST(Load, HalfPrecisionFilesAreReadExactly) {
  // f32 weights rounded to f16, once stored as f16 and once widened to f32 again: the same model.
  std::vector<Stored> narrow = tiny_tensors(), wide = tiny_tensors();
  for (size_t i = 0; i < narrow.size(); ++i) {
    const size_t n = narrow[i].bytes.size() / 4;
    std::string halves(n * 2, '\0');
    for (size_t j = 0; j < n; ++j) {
      float value = 0;
      std::memcpy(&value, narrow[i].bytes.data() + 4 * j, 4);
      const _Float16 half = static_cast<_Float16>(value);
      std::memcpy(halves.data() + 2 * j, &half, 2);
      const auto back = static_cast<float>(half);
      std::memcpy(wide[i].bytes.data() + 4 * j, &back, 4);
    }
    narrow[i].bytes = halves;
    narrow[i].dtype = "F16";
  }
  const Variant f16, f32;
  f16.write(narrow);
  f32.write(wide);
  EXPECT_EQ(logits_of(f16.folder().path()), logits_of(f32.folder().path()));
}

// What happens to one tensor of the tiny checkpoint, and what the one error must say.
struct Damage {
  const char* name;
  std::function<void(std::vector<Stored>&)> apply;
  std::vector<const char*> message;
};

Stored& find(std::vector<Stored>& tensors, const std::string& name) {
  for (Stored& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw Error(Code::not_found, name);
}

TEST(Load, ABrokenCheckpointGetsOneErrorThatNamesFileTensorExpectedAndFound) {
  const std::string router = "transformer.blocks.1.ffn.router.layer.weight";
  const Damage damages[] = {
      {"missing tensor",
       [&](auto& tensors) { std::erase_if(tensors, [&](auto& t) { return t.name == router; }); },
       {router.c_str(), "expected with shape [8, 64]", "not found"}},
      {"wrong shape",
       [&](auto& tensors) { find(tensors, router).shape = {64, 8}; },
       {"model.safetensors", router.c_str(), "expected shape [8, 64], found [64, 8]"}},
      {"NaN",
       [&](auto& tensors) {
         const uint32_t nan = 0x7fc00000;
         std::memcpy(find(tensors, router).bytes.data() + 4 * 70, &nan, 4);
       },
       {"model.safetensors", router.c_str(), "expected finite values", "index 70"}},
      {"integer dtype",
       [&](auto& tensors) { find(tensors, router).dtype = "I32"; },
       {"model.safetensors", router.c_str(), "expected dtype BF16, F16 or F32, found I32"}},
      {"unknown dtype",
       [&](auto& tensors) { find(tensors, router).dtype = "F33"; },
       {"model.safetensors", router.c_str(), "found 'F33'"}},
      {"a tensor too many",
       [&](auto& tensors) {
         tensors.push_back(
             {"transformer.blocks.0.norm_attn_norm.attn.Wqkv.bias", "F32", {1}, "\0\0\0\0"s});
       },
       {"model.safetensors", "Wqkv.bias", "has no place in the model that config.json describes"}},
      {"experts in two dtypes",
       [&](auto& tensors) {
         Stored& w1 = find(tensors, "transformer.blocks.1.ffn.experts.mlp.w1");
         w1.dtype = "BF16";
         w1.bytes.assign(w1.bytes.size() / 2, '\0');
       },
       {"transformer.blocks.1.", "several dtypes"}},
      {"quantized names",
       [&](auto& tensors) { find(tensors, router).name = "transformer.blocks.1.x.qweight"; },
       {"x.qweight", "quantized checkpoint", "not supported yet"}},
  };
  for (const Damage& damage : damages) {
    const Variant variant;
    std::vector<Stored> tensors = tiny_tensors();
    damage.apply(tensors);
    variant.write(tensors);
    for (const char* part : damage.message) {
      EXPECT_NE(variant.error().find(part), std::string::npos)
          << damage.name << ": '" << part << "' not in: " << variant.error();
    }
  }
}

TEST(Load, RotaryFrequenciesThatOldExportersWroteAreNoTensorTooMany) {
  const Variant variant;
  std::vector<Stored> tensors = tiny_tensors();
  tensors.push_back(
      {"transformer.blocks.0.norm_attn_norm.attn.rotary_emb.inv_freq", "F32", {1}, "\0\0\0\0"s});
  variant.write(tensors);
  EXPECT_EQ(logits_of(variant.folder().path()), logits_of("testdata/tiny"));
}

TEST(Load, CheckpointsOfOtherEnginesAreRefusedByName) {
  const auto error_of = [](const std::filesystem::path& path) -> std::string {
    try {
      load_model(path, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const TemporaryFolder gguf;
  const std::filesystem::path file = gguf.write("dbrx.Q4_K.gguf", "GGUF");
  for (const std::filesystem::path& path : {gguf.path(), file}) {
    EXPECT_NE(error_of(path).find("a GGUF file (dbrx.Q4_K.gguf), which is not supported yet"),
              std::string::npos)
        << error_of(path);
  }
  EXPECT_NE(error_of(gguf.path() / "nowhere").find("no such model directory"), std::string::npos);
  for (const auto& [name, kind] : {std::pair("quantize_config.json", "a GPTQ checkpoint"),
                                   std::pair("quant_config.json", "an AWQ checkpoint")}) {
    const Variant variant;
    variant.folder().write(name, "{}");
    EXPECT_NE(variant.error().find(kind), std::string::npos) << variant.error();
  }
}

TEST(Load, AFileCutAnywhereIsRefused) {
  const Variant variant;
  const std::string whole = safetensors_bytes(tiny_tensors());
  for (const size_t length :
       {size_t{0}, size_t{7}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    variant.folder().write("model.safetensors", whole.substr(0, length));
    EXPECT_NE(variant.error().find("model.safetensors"), std::string::npos) << length;
    EXPECT_NE(variant.error(), "no error") << length;
  }
}

TEST(Load, ASquareUnfusedDownProjectionIsRefusedSinceItsOrientationIsUnknown) {
  // ffn == d: build such a configuration from the tiny one and give its experts unfused.
  const TemporaryFolder folder;
  folder.write("config.json", R"({"model_type": "dbrx", "d_model": 4, "n_heads": 2, "n_layers": 1,
    "vocab_size": 2, "max_seq_len": 8, "attn_config": {"kv_n_heads": 1},
    "ffn_config": {"ffn_hidden_size": 4, "moe_num_experts": 1, "moe_top_k": 1}})");
  const auto zeros = [](int64_t n) { return std::string(static_cast<size_t>(n) * 4, '\0'); };
  const std::string block = "transformer.blocks.0.";
  std::vector<Stored> tensors = {
      {"transformer.wte.weight", "F32", {2, 4}, zeros(8)},
      {block + "norm_attn_norm.norm_1.weight", "F32", {4}, zeros(4)},
      {block + "norm_attn_norm.attn.Wqkv.weight", "F32", {8, 4}, zeros(32)},
      {block + "norm_attn_norm.attn.out_proj.weight", "F32", {4, 4}, zeros(16)},
      {block + "norm_attn_norm.norm_2.weight", "F32", {4}, zeros(4)},
      {block + "ffn.router.layer.weight", "F32", {1, 4}, zeros(4)},
      {block + "ffn.experts.mlp.0.w1.weight", "F32", {4, 4}, zeros(16)},
      {block + "ffn.experts.mlp.0.v1.weight", "F32", {4, 4}, zeros(16)},
      {block + "ffn.experts.mlp.0.w2.weight", "F32", {4, 4}, zeros(16)},
      {"transformer.norm_f.weight", "F32", {4}, zeros(4)},
      {"lm_head.weight", "F32", {2, 4}, zeros(8)},
  };
  folder.write("model.safetensors", safetensors_bytes(tensors));
  try {
    load_model(folder.path(), {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("is square"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace dbrx
