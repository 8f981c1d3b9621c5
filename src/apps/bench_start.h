// How long a model takes to start: the `start` rows of `dbrx bench`.
#pragma once

#include <filesystem>
#include <vector>

#include "apps/bench_rows.h"
#include "base/context.h"
#include "model/model.h"

namespace dbrx {

// Start-ups within this process: load_model ("ready"), and load_model with a step of one token
// ("token"), each with the files in the page cache ("warm") and not ("cold"). Seconds. Memory
// that a start will need is touched and freed before, since the host of a virtual machine may have
// taken it away. The share of a cold row is the bytes that it fetched, over what the disk gives,
// just before and just after, to 8 threads that read past the page cache; a row has none where it
// fetched next to nothing or the file system does not allow such reads. No other process may have
// the files mapped: they would stay in memory.
std::vector<BenchTest> start_tests(Context& context, const std::filesystem::path& model_dir,
                                   const LoadOptions& options, Format kv_format);

}  // namespace dbrx
