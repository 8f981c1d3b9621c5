// A packed checkpoint against the float one it was made from, and every way in which one can be
// broken.
#include "model/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/temporary_folder.h"
#include "model/model.h"
#include "tensor/checkpoint.h"
#include "tensor/checksum.h"
#include "tensor/quantized_row.h"
#include "tensor/safetensors.h"
#include "tensor/safetensors_writer.h"

namespace dbrx {
namespace {

namespace fs = std::filesystem;

const fs::path kTiny = "testdata/tiny";

std::vector<float> logits_of(Model& model, Isa isa, int n_threads) {
  flush_denormals();
  Context context(isa, n_threads);
  KvCache cache(model.config(), Format::f32, 1);
  Batch batch;
  batch.tokens = {3, 141, 59, 26, 5};
  batch.positions = {0, 1, 2, 3, 4};
  batch.spans.push_back({.first_row = 0, .n_rows = 5, .n_past = 0, .blocks = {0}});
  batch.logit_rows = {0, 4};
  StepOutput output;
  EXPECT_EQ(model.forward(context, batch, cache, output), StepResult::ok);
  return output.logits;
}

std::vector<float> logits_of(const fs::path& dir, Activations activations, Isa isa, int n_threads) {
  return logits_of(*load_model(dir, {.activations = activations, .progress = {}}), isa, n_threads);
}

void quantize(const fs::path& out, Format format) {
  Context context(choose_isa({}), 2);
  quantize_checkpoint(context, kTiny, out, {.experts = format, .progress = {}});
}

// Rounds `n` rows in place; `stride` apart are the elements of a row, `next` the rows.
void round_rows(Format format, float* values, int64_t n_rows, int64_t n_cols, int64_t next,
                int64_t stride) {
  std::vector<float> row(static_cast<size_t>(n_cols));
  QuantizedRow quantized;
  for (int64_t r = 0; r < n_rows; ++r) {
    for (int64_t c = 0; c < n_cols; ++c)
      row[static_cast<size_t>(c)] = values[r * next + c * stride];
    quantize_row(format, row, quantized);
    for (int64_t c = 0; c < n_cols; ++c) {
      values[r * next + c * stride] = quantized.scale * static_cast<float>(quantized.factor(c));
    }
  }
}

// The tiny model with every weight replaced by what its rounded form stands for, as an f32
// checkpoint.
void write_rounded(const fs::path& out, Format experts) {
  constexpr int64_t kExperts = 8, kFfn = 96, kD = 64;
  fs::create_directories(out);
  fs::copy_file(kTiny / "config.json", out / "config.json");
  const std::vector<Tensor> tensors = open_safetensors(kTiny / "model.safetensors");
  std::vector<StoredTensor> stored;
  for (const Tensor& t : tensors) {
    stored.push_back({t.name, t.dtype, t.shape, static_cast<int64_t>(t.bytes.size()), ""});
  }
  SafetensorsWriter writer(out / "model.safetensors", stored);
  for (const Tensor& t : tensors) {
    std::vector<float> values(static_cast<size_t>(t.n_values()));
    std::memcpy(values.data(), t.bytes.data(), t.bytes.size());
    if (t.name.ends_with("mlp.w2")) {  // stored inputs by outputs
      for (int64_t e = 0; e < kExperts; ++e) {
        round_rows(experts, values.data() + e * kFfn * kD, kD, kFfn, 1, kD);
      }
    } else if (t.name.ends_with("mlp.w1") || t.name.ends_with("mlp.v1")) {
      round_rows(experts, values.data(), t.shape[0], t.shape[1], t.shape[1], 1);
    } else if (t.shape.size() == 2 && !t.name.ends_with("router.layer.weight")) {
      round_rows(Format::int8, values.data(), t.shape[0], t.shape[1], t.shape[1], 1);
    }
    writer.write(std::as_bytes(std::span(values)));
  }
  writer.finish();
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

TEST(Quantize, APackedModelIsTheFloatModelOfItsRoundedWeights) {
  for (const Format format : {Format::int8, Format::int4}) {
    const TemporaryFolder folder;
    quantize(folder.path() / "packed", format);
    write_rounded(folder.path() / "rounded", format);
    const std::vector<float> want =
        logits_of(folder.path() / "rounded", Activations::exact, Isa::scalar, 1);
    const std::vector<float> exact =
        logits_of(folder.path() / "packed", Activations::exact, choose_isa({}), 2);
    const std::vector<float> fast =
        logits_of(folder.path() / "packed", Activations::fast, choose_isa({}), 2);
    float largest = 0;
    for (const float v : want) largest = std::max(largest, std::fabs(v));
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(exact[i], want[i], largest * 2e-3F);
    EXPECT_GT(cosine(fast, want), 0.999);
    EXPECT_NE(fast, exact);
  }
}

TEST(Quantize, ThePackedModelHasTheSameBitsOnEveryInstructionSetAndNumberOfThreads) {
  const TemporaryFolder folder;
  quantize(folder.path() / "packed", Format::int4);
  for (const Activations activations : {Activations::exact, Activations::fast}) {
    const std::vector<float> want =
        logits_of(folder.path() / "packed", activations, Isa::scalar, 1);
    for (int isa = 0; isa <= static_cast<int>(detect_isa()); ++isa) {
      EXPECT_EQ(logits_of(folder.path() / "packed", activations, static_cast<Isa>(isa), 2), want);
    }
  }
}

TEST(Quantize, ARunThatWasStoppedGoesOnAndGivesTheSameFiles) {
  const TemporaryFolder folder;
  const fs::path whole = folder.path() / "whole", stopped = folder.path() / "stopped";
  quantize(whole, Format::int4);
  Context context(choose_isa({}), 1);
  const QuantizeOptions stop_after_one = {.experts = Format::int4, .progress = [&](double done) {
                                            if (done > 0.5) throw Error(Code::unavailable, "stop");
                                          }};
  EXPECT_THROW(quantize_checkpoint(context, kTiny, stopped, stop_after_one), Error);
  EXPECT_FALSE(fs::exists(stopped / "config.json"));
  EXPECT_THROW(quantize(stopped, Format::int8), Error);  // other options
  const std::string state = read_text_file(stopped / "quantize.state", 1 << 12);
  folder.write("stopped/quantize.state", state.substr(0, state.find(" rounding ")) + "\n");
  EXPECT_THROW(quantize(stopped, Format::int4), Error);  // an older program's
  folder.write("stopped/quantize.state", state);
  const auto before = fs::last_write_time(stopped / "layer-0000.safetensors");
  quantize(stopped, Format::int4);
  EXPECT_EQ(fs::last_write_time(stopped / "layer-0000.safetensors"), before);
  int64_t n_equal = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(whole)) {
    const fs::path other = stopped / entry.path().filename();
    ASSERT_TRUE(fs::exists(other)) << other;
    EXPECT_EQ(read_text_file(entry.path(), 1 << 24), read_text_file(other, 1 << 24)) << other;
    n_equal += entry.path().extension() == ".safetensors" ? 1 : 0;
  }
  EXPECT_EQ(n_equal, 3 + 1);                           // layers, and what stands outside them
  EXPECT_THROW(quantize(whole, Format::int4), Error);  // not empty
}

// What the error says when the file is changed.
std::string error_after(const std::function<void(std::string& bytes)>& damage, bool verify) {
  const TemporaryFolder folder;
  const fs::path packed = folder.path() / "packed";
  quantize(packed, Format::int4);
  const fs::path file = packed / "layer-0001.safetensors";
  std::string bytes = read_text_file(file, 1 << 24);
  damage(bytes);
  folder.write("packed/layer-0001.safetensors", bytes);
  try {
    if (verify) {
      const Checkpoint checkpoint = Checkpoint::open(packed);
      for (const auto& [name, tensor] : checkpoint.tensors()) verify_checksum(tensor);
    }
    load_model(packed, {});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  ASSERT_EQ(from.size(), to.size());
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
}

TEST(Quantize, ADamagedFileGetsOneErrorThatNamesIt) {
  const auto expect = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find("layer-0001.safetensors"), std::string::npos) << error;
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  expect(error_after([](std::string& b) { b[b.size() - 70000] ^= 1; }, true), "expected checksum");
  expect(error_after([](std::string& b) { replace(b, "panels=1", "panels=9"); }, false),
         "expected packed layout version 1, found '9'");
  expect(error_after([](std::string& b) { replace(b, "format=int4", "format=int5"); }, false),
         "unknown packed format 'int5'");
  expect(error_after([](std::string& b) { replace(b, "sizes=96x64", "sizes=64x96"); }, false),
         "expected 96x64 (outputs x inputs), found 64x96");
  expect(error_after([](std::string& b) { b.resize(b.size() / 2); }, false), "truncated");
  EXPECT_EQ(error_after([](std::string&) {}, true), "no error");
}

TEST(Quantize, APackedModelHasTheSameBitsHoweverItsFilesComeIntoMemory) {
  const TemporaryFolder folder;
  quantize(folder.path() / "packed", Format::int4);
  const auto logits = [&](const char* load) {
    LoadOptions options;
    options.load = load;
    OpenedModel opened = open_model(folder.path() / "packed", options);
    EXPECT_TRUE(opened.report.has_value());
    return logits_of(*opened.model, choose_isa({}), 2);
  };
  EXPECT_EQ(logits("map"), logits("copy"));
}

TEST(Quantize, AFloatCheckpointRefusesToBeMappedOrCopied) {
  LoadOptions options;
  options.load = "copy";
  try {
    open_model(kTiny, options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--load copy is for packed checkpoints"),
              std::string::npos);
  }
}

TEST(Quantize, APackedCheckpointIsNotPackedAgain) {
  const TemporaryFolder folder;
  quantize(folder.path() / "packed", Format::int4);
  Context context(Isa::scalar, 1);
  EXPECT_THROW(quantize_checkpoint(context, folder.path() / "packed", folder.path() / "again", {}),
               Error);
}

}  // namespace
}  // namespace dbrx
