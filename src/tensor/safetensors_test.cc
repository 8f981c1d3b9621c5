#include "tensor/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "tensor/checkpoint.h"

namespace dbrx {
namespace {

std::string file_bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + data;
}

std::vector<Tensor> parse(const std::string& bytes) {
  return parse_safetensors({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()}, "f");
}

// The message of the Error that parsing these bytes must end with.
std::string error_of(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

constexpr const char* kTwo = R"({"__metadata__":{"format":"pt"},)"
                             R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}})";

TEST(Safetensors, ShapesFormatsAndBytesOfAllTensorsAreRead) {
  const std::string bytes = file_bytes(kTwo, "01234567abcdef");
  const std::vector<Tensor> tensors = parse(bytes);
  ASSERT_EQ(tensors.size(), 2U);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].format, Format::f32);
  EXPECT_EQ(tensors[0].shape, std::vector<int64_t>{2});
  EXPECT_EQ(std::memcmp(tensors[0].bytes.data(), "01234567", 8), 0);
  EXPECT_EQ(tensors[1].format, Format::bf16);
  EXPECT_EQ(tensors[1].n_values(), 3);
}

TEST(Safetensors, ATruncatedFileIsNamedWithExpectedAndFound) {
  EXPECT_EQ(
      error_of(file_bytes(kTwo, "01234567abcd")),
      "f: tensor 'b': expected data up to byte 14 of the data section, found only 12 bytes: the "
      "file is truncated");
  EXPECT_NE(error_of("abc").find("found 3"), std::string::npos);
  EXPECT_NE(error_of(file_bytes(kTwo, "").substr(0, 40)).find("truncated"), std::string::npos);
}

TEST(Safetensors, AnOversizedHeaderIsRefusedBeforeItIsRead) {
  std::string bytes = file_bytes(kTwo, "");
  bytes[7] = 0x7f;
  EXPECT_NE(error_of(bytes).find("expected a header of at most 100000000"), std::string::npos);
}

TEST(Safetensors, OverlapsHolesAndLeftoversAreCorrupt) {
  const std::string overlap = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                              R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  EXPECT_EQ(error_of(file_bytes(overlap, std::string(12, 'x'))),
            "f: tensor 'b' overlaps tensor 'a' by 4 bytes");
  const std::string hole = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  EXPECT_EQ(error_of(file_bytes(hole, std::string(8, 'x'))),
            "f: 4 bytes before tensor 'a' belong to no tensor");
  EXPECT_EQ(error_of(file_bytes(kTwo, std::string(15, 'x'))),
            "f: 1 bytes at the end belong to no tensor");
}

TEST(Safetensors, UnknownDtypesWrongSizesAndOverflowsAreNamed) {
  const auto one = [](const char* entry) {
    return file_bytes(std::string("{\"a\":") + entry + "}", std::string(8, 'x'));
  };
  EXPECT_EQ(error_of(one(R"({"dtype":"Q4","shape":[2],"data_offsets":[0,8]})")),
            "f: tensor 'a': expected a known dtype (BF16, F16, F32, ...), found 'Q4'");
  EXPECT_EQ(error_of(one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})")),
            "f: tensor 'a': expected 12 bytes for F32 [3], found 8");
  EXPECT_NE(error_of(one(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]})"))
                .find("more than 2^64"),
            std::string::npos);
  EXPECT_NE(error_of(one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,8]})")).find("shape"),
            std::string::npos);
  EXPECT_NE(error_of(one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})")).find("ascending"),
            std::string::npos);
  EXPECT_NE(error_of(file_bytes("[1]", "")).find("expected a JSON object"), std::string::npos);
  EXPECT_NE(error_of(file_bytes("{\"a\":", "")).find("not valid JSON"), std::string::npos);
}

TEST(Checkpoint, MissingDirectoriesShardsAndForeignFormatsAreNamed) {
  const auto message = [](const std::filesystem::path& dir) -> std::string {
    try {
      Checkpoint::open(dir);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const TemporaryFolder folder;
  EXPECT_NE(message(folder.path() / "nowhere").find("no such model directory"), std::string::npos);
  EXPECT_NE(message(folder.path()).find("neither model.safetensors nor"), std::string::npos);
  folder.write("model.gguf", "GGUF");
  EXPECT_NE(message(folder.path()).find("a GGUF file (model.gguf), which is not supported yet"),
            std::string::npos);
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"one.safetensors"}})");
  EXPECT_NE(message(folder.path()).find("one.safetensors: shard named by"), std::string::npos);
  folder.write("one.safetensors",
               file_bytes(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  EXPECT_NE(message(folder.path()).find("tensor 'a' expected here by"), std::string::npos);
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"../one.safetensors"}})");
  EXPECT_NE(message(folder.path()).find("is not a file name"), std::string::npos);
}

TEST(Checkpoint, TensorsOfAllShardsAreFound) {
  const TemporaryFolder folder;
  folder.write("model.safetensors.index.json",
               R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  folder.write("1.safetensors",
               file_bytes(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  folder.write("2.safetensors",
               file_bytes(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "y"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  ASSERT_NE(checkpoint.find("b"), nullptr);
  EXPECT_EQ(static_cast<char>(checkpoint.find("b")->bytes[0]), 'y');
  EXPECT_EQ(checkpoint.find("c"), nullptr);
}

}  // namespace
}  // namespace dbrx
