// Files that are read again when they change or a SIGHUP asks for it: keys, certificates, lists of
// the safety filters. What can't be used leaves what was read before in force.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "telemetry/server_sample.h"

namespace dbrx {

// Notices that a file, or who may read it, is not what it was at the last look.
class FileWatch {
 public:
  // path: empty for no file, which never changes.
  explicit FileWatch(std::string path = {});
  bool changed();
  const std::string& path() const { return path_; }

 private:
  // Writers in place change time and size, those who rename a new file over it the inode, chmod
  // and chown the time of the inode's own change, which all of the others touch as well.
  struct Stamp {
    ino_t inode = 0;
    int64_t size = 0, seconds = 0, nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp look() const;  // zeros: there is no such file

  std::string path_;
  Stamp last_;
};

// All but sample() belongs to the I/O thread.
class WatchedFiles {
 public:
  using Task = std::function<void()>;
  // Runs a task on another thread: a disk may be slow, and a list long.
  using Post = std::function<void(Task)>;

  struct File {
    std::string name;  // of what it has, for the log and metrics: "keys"
    std::vector<FileWatch>
        parts;  // that only together make sense; made before they were read first
    // Reads them, on another thread. Returns what puts the new content in force, on the I/O thread;
    // both throw Error for what can't be used.
    std::function<Task()> read;
  };

  WatchedFiles(std::vector<File> files, Post aside, Post back);

  // Reads again what has changed, and what could not be used last time: the reason may be one that
  // no look at a file shows, such as too many open files. To be called about once a second.
  void look();

  // Reads all again; what is still wrong is told once more.
  void read_all();

  // Any thread.
  std::vector<FileSample> sample() const;

 private:
  struct Entry {
    explicit Entry(File file_in) : file(std::move(file_in)) { sample.name = file.name; }

    File file;
    bool due = false;       // to be read at the next look
    bool reading = false;   // right now
    std::string complaint;  // why it could not be used; empty: it was
    FileSample sample;
  };

  void read(Entry& entry);
  void settle(Entry& entry, const Task& install, std::string complaint);

  Post aside_;
  Post back_;
  std::vector<Entry> entries_;  // as many as at first
  mutable std::mutex mutex_;    // guards their samples
};

}  // namespace dbrx
