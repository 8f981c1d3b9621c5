// Ways to bring a file into memory, against the bytes that were written.
#include "base/file_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/huge_pages.h"
#include "base/mapped_file.h"
#include "base/memory.h"
#include "base/temporary_folder.h"

namespace dbrx {
namespace {

std::string some_bytes(size_t n) {
  std::string bytes(n, '\0');
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 13);
  return bytes;
}

TEST(FileReader, ReadsEveryPartThroughThePageCacheAndPastIt) {
  const TemporaryFolder folder;
  const std::string bytes = some_bytes(5 * kPage + 77);
  const FileReader reader(folder.write("file", bytes));
  for (const bool cached : {true, false}) {
    for (const size_t first : {size_t{0}, 2 * kPage, 5 * kPage}) {
      for (const size_t n : {size_t{1}, kPage, bytes.size()}) {
        const std::string want = bytes.substr(first, n);
        Block room(round_up(want.size(), kPage));
        reader.read(first, {room.data(), want.size()}, cached);
        EXPECT_EQ(std::memcmp(room.data(), want.data(), want.size()), 0) << first << " " << n;
      }
    }
  }
}

TEST(FileReader, SaysThatAFileEndsTooEarly) {
  const TemporaryFolder folder;
  const FileReader reader(folder.write("short", some_bytes(100)));
  Block room(2 * kPage);
  for (const bool cached : {true, false}) {
    try {
      reader.read(0, {room.data(), room.size()}, cached);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("short: can't read byte 100: the file ends before"),
                std::string::npos)
          << error.what();
    }
  }
  EXPECT_THROW(FileReader(folder.path() / "nowhere"), Error);
}

TEST(MappedFile, LiesAtAHugePageAndIsPopulatedFromTheCache) {
  const TemporaryFolder folder;
  const std::string bytes = some_bytes(3 * kPage + 5);
  const auto file = MappedFile::open(folder.write("file", bytes));
  EXPECT_EQ(reinterpret_cast<size_t>(file->bytes().data()) % kHugePage, 0U);
  EXPECT_TRUE(file->populate(0, bytes.size()));
  EXPECT_TRUE(file->populate(kPage, 1));
  EXPECT_TRUE(file->is_cached(0, bytes.size()));
  EXPECT_EQ(std::memcmp(file->bytes().data(), bytes.data(), bytes.size()), 0);
}

TEST(HugePages, AreCountedInsideTheMemoryOnly) {
  std::istringstream smaps(
      "7f0000000000-7f0000400000 r--s 00000000 fe:00 12 /models/layer-0000.safetensors\n"
      "Rss:                4096 kB\n"
      "AnonHugePages:         0 kB\n"
      "FilePmdMapped:      2048 kB\n"
      "VmFlags: rd sh mr mw me ms hg\n"
      "7f0000400000-7f0000800000 rw-p 00000000 00:00 0\n"
      "AnonHugePages:      4096 kB\n"
      "FilePmdMapped:         0 kB\n"
      "7f0000800000-7f0000a00000 rw-p 00000000 00:00 0\n"
      "AnonHugePages:      2048 kB\n");
  const auto count = [&](uint64_t begin, uint64_t end) {
    smaps.clear();
    smaps.seekg(0);
    return huge_mapped_bytes(smaps, begin, end);
  };
  EXPECT_EQ(count(0x7f0000000000, 0x7f0000400000), 2 << 20);
  EXPECT_EQ(count(0x7f0000000000, 0x7f0000800000), 6 << 20);
  EXPECT_EQ(count(0x7f0000a00000, 0x7f0000c00000), 0);
}

}  // namespace
}  // namespace dbrx
