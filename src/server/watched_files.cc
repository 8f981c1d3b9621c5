#include "server/watched_files.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <exception>
#include <utility>

namespace dbrx {
namespace {

std::string paths_of(const WatchedFiles::File& file) {
  std::string paths;
  for (const FileWatch& part : file.parts) paths += (paths.empty() ? "" : ", ") + part.path();
  return paths;
}

}  // namespace

FileWatch::FileWatch(std::string path) : path_(std::move(path)), last_(look()) {}

bool FileWatch::changed() { return std::exchange(last_, look()) != last_; }

FileWatch::Stamp FileWatch::look() const {
  struct stat status = {};
  if (path_.empty() || stat(path_.c_str(), &status) != 0) return {};
  return {.inode = status.st_ino,
          .size = status.st_size,
          .seconds = status.st_ctim.tv_sec,
          .nanoseconds = status.st_ctim.tv_nsec};
}

WatchedFiles::WatchedFiles(std::vector<File> files, Post aside, Post back)
    : aside_(std::move(aside)), back_(std::move(back)) {
  for (File& file : files) entries_.emplace_back(std::move(file));
}

void WatchedFiles::look() {
  for (Entry& entry : entries_) {
    for (FileWatch& part : entry.file.parts) {
      if (part.changed()) entry.due = true;
    }
    if (entry.due || !entry.complaint.empty()) read(entry);
  }
}

void WatchedFiles::read_all() {
  for (Entry& entry : entries_) {
    entry.complaint.clear();
    entry.due = true;
    read(entry);
  }
}

void WatchedFiles::read(Entry& entry) {
  if (entry.reading) return;  // a later look does it
  aside_([this, &entry] {
    Task install;
    std::string complaint;
    try {
      install = entry.file.read();
    } catch (const std::exception& error) {
      complaint = error.what();
    }
    back_([this, &entry, install = std::move(install), complaint = std::move(complaint)] {
      settle(entry, install, complaint);
    });
  });
  entry.reading = true;
  entry.due = false;
}

void WatchedFiles::settle(Entry& entry, const Task& install, std::string complaint) {
  entry.reading = false;
  if (complaint.empty()) {
    try {
      install();
    } catch (const std::exception& error) {
      complaint = error.what();
    }
  }
  {
    const std::lock_guard lock(mutex_);
    entry.sample.last_read_successful = complaint.empty();
    if (!complaint.empty()) ++entry.sample.failed_reads;
  }
  if (complaint.empty()) {
    spdlog::info("{}: {} was read again and is in force", entry.file.name, paths_of(entry.file));
  } else if (complaint != entry.complaint) {
    spdlog::error("{}: the old content stays in force: {}", entry.file.name, complaint);
  }
  entry.complaint = std::move(complaint);
}

std::vector<FileSample> WatchedFiles::sample() const {
  const std::lock_guard lock(mutex_);
  std::vector<FileSample> samples;
  for (const Entry& entry : entries_) samples.push_back(entry.sample);
  return samples;
}

}  // namespace dbrx
