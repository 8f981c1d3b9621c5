#include "server/watched_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "server/fake_server.h"
#include "server/safety.h"

namespace dbrx {
namespace {

namespace json = boost::json;

// The clocks of file systems are coarse: a change soon after another one may have the same time.
void change_mode(const std::string& path) {
  const auto time_of_change = [&] {
    struct stat status = {};
    EXPECT_EQ(stat(path.c_str(), &status), 0);
    return std::pair(status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  };
  const auto before = time_of_change();
  while (time_of_change() == before) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  }
}

TEST(FileWatch, NoticesChanges) {
  TemporaryFolder dir;
  const std::string path = (dir.path() / "keys.json").string();
  FileWatch watch(path);
  EXPECT_FALSE(watch.changed());
  dir.write("keys.json", "one");
  EXPECT_TRUE(watch.changed());
  EXPECT_FALSE(watch.changed());
  dir.write("other.json", "two");
  std::filesystem::rename(dir.path() / "other.json", path);
  EXPECT_TRUE(watch.changed());
  change_mode(path);
  EXPECT_TRUE(watch.changed());
  std::filesystem::remove(path);
  EXPECT_TRUE(watch.changed());
  EXPECT_FALSE(watch.changed());
}

// Files whose tasks run when the test says so.
struct Watched {
  explicit Watched(const std::string& path)
      : files(
            {{.name = "list", .parts = {FileWatch(path)}, .read = [this] { return read(); }}},
            [this](auto task) { tasks.push_back(std::move(task)); },
            [](const auto& task) { task(); }) {}

  WatchedFiles::Task read() {
    ++n_reads;
    if (!error.empty()) throw Error(Code::invalid_argument, error);
    return [this, content = content] { in_force = content; };
  }
  void look() {
    files.look();
    for (const auto& task : std::exchange(tasks, {})) task();
  }

  std::string content = "new";
  std::string error;
  std::string in_force = "old";
  int n_reads = 0;
  std::vector<WatchedFiles::Task> tasks;
  WatchedFiles files;
};

TEST(WatchedFiles, WhatCanNotBeUsedIsTriedAgainAndLeavesTheOldInForce) {
  TemporaryFolder dir;
  Watched watched(dir.write("list", "1").string());
  watched.look();
  EXPECT_EQ(watched.n_reads, 0);
  watched.error = "no list";
  dir.write("list", "22");
  watched.look();
  watched.look();
  EXPECT_EQ(watched.in_force, "old");
  EXPECT_FALSE(watched.files.sample().at(0).last_read_successful);
  EXPECT_EQ(watched.files.sample().at(0).failed_reads, 2);
  watched.error.clear();
  watched.look();
  EXPECT_EQ(watched.in_force, "new");
  EXPECT_TRUE(watched.files.sample().at(0).last_read_successful);
  watched.look();
  EXPECT_EQ(watched.n_reads, 3);
}

TEST(WatchedFiles, AChangeWhileTheFileIsReadIsNotMissed) {
  TemporaryFolder dir;
  Watched watched(dir.write("list", "1").string());
  dir.write("list", "22");
  watched.files.look();
  dir.write("list", "333");
  watched.files.look();  // the first read is still under way
  EXPECT_EQ(watched.tasks.size(), 1U);
  watched.look();
  watched.content = "newest";
  watched.look();
  EXPECT_EQ(watched.in_force, "newest");
  EXPECT_EQ(watched.n_reads, 2);
}

// The finish reason of an answer, which recites the alphabet from b.
std::string reason(FakeServer& server) {
  const TestAnswer answer =
      server.complete(R"({"prompt": "a", "max_tokens": 20, "temperature": 0})");
  return text_at(json::parse(answer.body), "/choices/0/finish_reason");
}

TEST(WatchedFiles, AChangedListOfKeywordsHoldsAndABrokenOneDoesNot) {
  TemporaryFolder dir;
  const std::string path = dir.write("words", "nothing").string();
  FakeServer::Setup setup;
  setup.server.safety = make_safety_policy({.mode = "always", .pii = "off", .keywords = path});
  dir.write("words", "bcdefghijklmnopqrstu");  // between the flags and the server: a long load
  FakeServer server(std::move(setup));
  EXPECT_TRUE(becomes_true([&] { return reason(server) == "content_filter"; }));
  dir.write("words", "\n");
  EXPECT_TRUE(becomes_true([&] {
    return server.get("/metrics")
               .body.find("dbrx:file_last_read_successful{file=\"keywords\"} 0") !=
           std::string::npos;
  }));
  EXPECT_EQ(reason(server), "content_filter");
  dir.write("words", "nothing");
  EXPECT_TRUE(becomes_true([&] { return reason(server) == "length"; }));
}

TEST(WatchedFiles, AChangedClassifierAsksOtherwise) {
  TemporaryFolder dir;
  const std::string path =
      dir.write("c.json", R"({"labels": ["bcd", "x"], "block": ["x"], "output": false})").string();
  FakeServer::Setup setup;
  setup.server.safety = make_safety_policy({.mode = "always", .pii = "off", .classifier = path});
  FakeServer server(std::move(setup));
  EXPECT_EQ(reason(server), "length");
  dir.write("c.json", R"({"labels": ["bcd", "x"], "block": ["bcd"], "output": false})");
  EXPECT_TRUE(becomes_true([&] { return reason(server) == "content_filter"; }));
}

}  // namespace
}  // namespace dbrx
