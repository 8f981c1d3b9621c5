#include "server/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <utility>

#include "server/test_client.h"

namespace dbrx {
namespace {

struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) close(end);
    }
  }
  void close_reader() { close(std::exchange(ends[0], -1)); }
  void close_writer() { close(std::exchange(ends[1], -1)); }
  std::string read_all() {
    std::string text;
    std::array<char, 4096> bytes = {};
    ssize_t n = 0;
    while ((n = read(ends[0], bytes.data(), bytes.size())) > 0) {
      text.append(bytes.data(), static_cast<size_t>(n));
    }
    return text;
  }
  std::array<int, 2> ends = {-1, -1};  // read, write
};

TEST(LogWriter, WritesAllLinesInOrderBeforeItEnds) {
  Pipe pipe;
  std::string expected;
  {
    LogWriter writer(pipe.ends[1]);
    for (int i = 0; i < 500; ++i) {
      const std::string line = std::to_string(i) + "\n";
      writer.push(line);
      expected += line;
    }
  }
  pipe.close_writer();
  EXPECT_EQ(pipe.read_all(), expected);
}

TEST(LogWriter, DropsWhatNobodyReadsAndWaitsForNobody) {
  Pipe pipe;
  const std::string line(999, 'x');
  {
    LogWriter writer(pipe.ends[1], 100'000);
    int64_t n_dropped = 0;
    for (int i = 0; i < 2000; ++i) n_dropped += writer.push(line + "\n") ? 0 : 1;  // 2 MB
    // A pipe takes 64 KB, the queue 100 KB, and one line is on its way.
    EXPECT_GE(n_dropped, 2000 - 100 - 66 - 1);
    EXPECT_LT(n_dropped, 2000);
    EXPECT_EQ(writer.n_dropped(), n_dropped);
  }
}

TEST(LogWriter, AReaderThatHasGoneKillsNobody) {
  Pipe pipe;
  pipe.close_reader();
  std::signal(SIGPIPE, SIG_DFL);
  LogWriter writer(pipe.ends[1]);
  for (int i = 0; i < 10; ++i) writer.push("line\n");
  EXPECT_TRUE(becomes_true([&] { return writer.n_dropped() == 10; }));
}

}  // namespace
}  // namespace dbrx
