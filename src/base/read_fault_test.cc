#include "base/read_fault.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/temporary_folder.h"
#include "base/thread_pool.h"

namespace dbrx {
namespace {

constexpr size_t kPages = 64;

// A file that is cut to one page while it is mapped.
struct CutFile {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "weights.bin";
  std::shared_ptr<const MappedFile> file;

  CutFile() {
    std::ofstream(path) << std::string(kPages * kPage, 'x');
    file = MappedFile::open(path);
    std::filesystem::resize_file(path, kPage);
  }

  int read_page(size_t i) const {
    const std::byte* first = file->bytes().data() + i * kPage;
    return std::accumulate(first, first + kPage, 0,
                           [](int sum, std::byte b) { return sum + static_cast<int>(b); });
  }
};

TEST(ReadFault, ATaskThatMeetsOneBecomesAnErrorThatNamesTheFileAndThePoolGoesOn) {
#ifdef DBRX_TSAN
  GTEST_SKIP() << "its runtime keeps the signal's handler from jumping back";
#endif
  const CutFile cut;
  for (const int n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    pool.enter();
    for (int round = 0; round < 3; ++round) {
      std::atomic<int> n_read{0};
      try {
        pool.run(kPages, [&](size_t i) { n_read += cut.read_page(i) > 0 ? 1 : 0; });
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::corrupt);
        EXPECT_NE(std::string(error.what()).find(cut.path.string() + ": byte "), std::string::npos)
            << error.what();
      }
      EXPECT_EQ(n_read, 1);
    }
    std::vector<unsigned> modes(kPages);
    pool.run(kPages, [&](size_t i) { modes[i] = _mm_getcsr(); });
    constexpr unsigned kFlush = 0x8040;
    for (const unsigned mode : modes) EXPECT_EQ(mode & kFlush, kFlush);
  }
  EXPECT_NE(first_read_fault(), "");
}

TEST(ReadFaultDeathTest, AnywhereElseTheProgramEndsWithAMessage) {
  const CutFile cut;
  EXPECT_EXIT(std::fprintf(stderr, "%d", cut.read_page(2)), testing::ExitedWithCode(1),
              "weights.bin: byte 8192 can't be read any more");
}

}  // namespace
}  // namespace dbrx
