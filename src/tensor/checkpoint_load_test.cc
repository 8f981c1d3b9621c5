// The files of a checkpoint brought into memory, and compared with their checksums beside the work.
#include "tensor/checkpoint_load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/forbid_policies.h"
#include "base/mapped_file.h"
#include "base/temporary_folder.h"
#include "tensor/background_verify.h"
#include "tensor/checksum.h"
#include "tensor/safetensors_writer.h"

namespace dbrx {
namespace {

// One file of a large and a small tensor.
void write_file(const std::filesystem::path& path, char seed) {
  const std::string large(9'000'000, seed);
  const std::string small(100, static_cast<char>(seed + 1));
  const auto stored = [&](const char* name, const std::string& bytes) {
    const auto n = static_cast<int64_t>(bytes.size());
    return StoredTensor{name + std::string(1, seed), "U8", {n}, n, ""};
  };
  SafetensorsWriter writer(path, {stored("large.", large), stored("small.", small)});
  writer.write(std::as_bytes(std::span(large)));
  writer.write(std::as_bytes(std::span(small)));
  writer.finish();
}

// Two such files and their index.
class LoadedCheckpoint : public testing::Test {
 protected:
  LoadedCheckpoint() {
    write_file(folder_.path() / "a.safetensors", 'a');
    write_file(folder_.path() / "b.safetensors", 'b');
    folder_.write("model.safetensors.index.json",
                  R"({"weight_map": {"large.a": "a.safetensors", "small.a": "a.safetensors",
                                     "large.b": "b.safetensors", "small.b": "b.safetensors"}})");
  }

  // Flips a bit in the middle of large.b.
  void damage() const {
    std::string bytes = read_text_file(folder_.path() / "b.safetensors", 1 << 24);
    bytes[4'000'000] = static_cast<char>(bytes[4'000'000] ^ 4);
    folder_.write("b.safetensors", bytes);
  }

  TemporaryFolder folder_;
};

const ThreadPlan kOneNode = ThreadPlan::unbound(2);

TEST_F(LoadedCheckpoint, ACopyHasTheBytesOfTheFilesAndLetsGoOfTheirMapping) {
  const Checkpoint mapped = Checkpoint::open(folder_.path());
  Checkpoint copied = Checkpoint::open(folder_.path());
  std::vector<std::pair<int64_t, int64_t>> steps;
  const LoadReport report =
      load_files(copied, LoadMode::copy, kOneNode,
                 [&](int64_t done, int64_t total) { steps.emplace_back(done, total); });
  EXPECT_TRUE(report.fits_memory);
  EXPECT_GT(report.n_bytes, 18'000'000);
  ASSERT_FALSE(steps.empty());
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_EQ(steps.back(), std::pair(report.n_bytes, report.n_bytes));
  for (const auto& [name, tensor] : copied.tensors()) {
    const Tensor& original = *mapped.find(name);
    EXPECT_NE(tensor.bytes.data(), original.bytes.data());
    EXPECT_TRUE(std::ranges::equal(tensor.bytes, original.bytes)) << name;
    EXPECT_EQ(tensor.file->path(), original.file->path());
    EXPECT_GE(tensor.bytes.data(), tensor.file->bytes().data());
    EXPECT_NO_THROW(verify_checksum(tensor));
  }
}

// The threads that read then run where the pages are wanted.
TEST_F(LoadedCheckpoint, ACopyIsReadWhereMemoryMayNotBePlacedToo) {
  ThreadPlan plan = plan_threads(find_topology(), 2, Pin::cores);
  plan.nodes.push_back(plan.nodes.back());  // as if there were two
  std::thread caller([&] {
    forbid_memory_policies();
    Checkpoint copied = Checkpoint::open(folder_.path());
    EXPECT_FALSE(load_files(copied, LoadMode::copy, plan, {}).placed);
    const Checkpoint mapped = Checkpoint::open(folder_.path());
    for (const auto& [name, tensor] : copied.tensors()) {
      EXPECT_TRUE(std::ranges::equal(tensor.bytes, mapped.find(name)->bytes)) << name;
    }
  });
  caller.join();
}

TEST_F(LoadedCheckpoint, AMappedOneStaysWhereItIs) {
  Checkpoint checkpoint = Checkpoint::open(folder_.path());
  const std::byte* before = checkpoint.find("large.a")->bytes.data();
  const LoadReport report = load_files(checkpoint, LoadMode::map, kOneNode, {});
  EXPECT_EQ(report.mode, LoadMode::map);
  EXPECT_GE(report.n_bytes, report.huge_bytes);
  EXPECT_EQ(checkpoint.find("large.a")->bytes.data(), before);
}

TEST_F(LoadedCheckpoint, AFileThatIsCutWhileItIsOpenGetsOneError) {
  for (const LoadMode mode : {LoadMode::map, LoadMode::copy}) {
    Checkpoint checkpoint = Checkpoint::open(folder_.path());
    std::filesystem::resize_file(folder_.path() / "b.safetensors", 1'000'000);
    try {
      load_files(checkpoint, mode, kOneNode, {});
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("b.safetensors: can't"), std::string::npos)
          << error.what();
    }
    write_file(folder_.path() / "b.safetensors", 'b');
  }
}

TEST(LoadMode, TheDefaultCopiesWhereMemoryHasSeveralNodes) {
  ThreadPlan two = ThreadPlan::unbound(2);
  two.nodes = {0, 1};
  EXPECT_EQ(choose_load_mode("auto", kOneNode), LoadMode::map);
  EXPECT_EQ(choose_load_mode("auto", two), LoadMode::copy);
  EXPECT_EQ(choose_load_mode("map", two), LoadMode::map);
  EXPECT_EQ(choose_load_mode("copy", kOneNode), LoadMode::copy);
  EXPECT_THROW(choose_load_mode("mmap", kOneNode), Error);
}

BackgroundVerify::Result verify(const Checkpoint& checkpoint) {
  std::promise<BackgroundVerify::Result> end;
  const BackgroundVerify running(checkpoint, int64_t{1} << 40,
                                 [&](const auto& result) { end.set_value(result); });
  return end.get_future().get();
}

TEST_F(LoadedCheckpoint, BackgroundVerifyReadsEveryTensor) {
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  const BackgroundVerify::Result result = verify(checkpoint);
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.n_tensors, 4);
  EXPECT_EQ(result.n_bytes, 2 * (9'000'000 + 100));
}

TEST_F(LoadedCheckpoint, BackgroundVerifyNamesAFileThatIsCutMeanwhile) {
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  std::filesystem::resize_file(folder_.path() / "b.safetensors", 1'000'000);
  const BackgroundVerify::Result result = verify(checkpoint);
  EXPECT_NE(result.error.find("b.safetensors: byte "), std::string::npos) << result.error;
}

TEST_F(LoadedCheckpoint, BackgroundVerifyNamesFileAndTensorOfAFlippedBit) {
  damage();
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  const std::string error = verify(checkpoint).error;
  EXPECT_NE(error.find("b.safetensors: tensor 'large.b': expected checksum"), std::string::npos)
      << error;
}

TEST(Verify, NamesFileAndTensorWithoutAChecksum) {
  const Checkpoint checkpoint = Checkpoint::open("testdata/tiny");
  const std::string wanted = "has no checksum: only what dbrx quantize wrote can be verified";
  const auto& [name, first] = *checkpoint.tensors().begin();
  try {
    verify_checksum(first);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), first.file->path().string() + ": tensor '" + name + "' " + wanted);
  }
  EXPECT_NE(verify(checkpoint).error.find(wanted), std::string::npos);
}

TEST_F(LoadedCheckpoint, BackgroundVerifyStopsWhenToldEvenInItsLongestRest) {
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  bool ended = false;
  {
    const BackgroundVerify slow(checkpoint, 1, [&](const auto&) { ended = true; });
  }
  EXPECT_FALSE(ended);
}

}  // namespace
}  // namespace dbrx
