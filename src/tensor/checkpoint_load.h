// Brings the files of a packed checkpoint into memory before the first step needs them: --load.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/topology.h"
#include "tensor/checkpoint.h"

namespace dbrx {

enum class LoadMode {
  map,   // used where the page cache has it: shared with other processes, instant when warm
  copy,  // read into memory of our own: huge pages everywhere, on the NUMA node that reads it
};

// "map", "copy", or "auto": copy on several NUMA nodes, since the page cache can't be placed, else
// map. Throws Error(invalid_argument) on another name.
LoadMode choose_load_mode(std::string_view name, const ThreadPlan& plan);

struct LoadReport {
  LoadMode mode = LoadMode::map;
  int64_t n_bytes = 0;      // of the files
  int64_t huge_bytes = 0;   // of these, mapped with huge pages
  bool fits_memory = true;  // false: map leaves the pages to be read when they are needed
  bool placed = true;  // false: copies lie where threads of the right nodes touched them first,
                       // since the system forbids to say where memory belongs
};

// Reads all files with several threads; copied tensors point to the copies from then on. Progress
// gets finished and total bytes. Throws Error (corrupt where a file can't be read,
// resource_exhausted where the memory is too small for a copy).
LoadReport load_files(Checkpoint& checkpoint, LoadMode mode, const ThreadPlan& plan,
                      const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace dbrx
