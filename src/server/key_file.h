// Keys in a file, for many clients: names, scopes, limits. Read again when it changes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "server/api_keys.h"

namespace dbrx {

// Adds the keys of a JSON file:
//   {"keys": [{"name": "alice", "key": "..." or "sha256": "64 hexadecimal digits",
//              "scopes": ["infer", "metrics", "admin"], "requests_per_minute": 60,
//              "input_tokens_per_minute": 100000, "output_tokens_per_minute": 20000,
//              "weight": 1}]}
// Where "scopes" is missing, it is infer alone; a missing limit is none; both "key" and "sha256"
// may be lists. Throws Error that says what is wrong with which entry, never repeating a key.
void add_key_file(const std::string& path, ApiKeys& keys);

// Notices that a file, or who may read it, is not what it was at the last look.
class FileWatch {
 public:
  explicit FileWatch(std::string path);
  bool changed();

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

}  // namespace dbrx
