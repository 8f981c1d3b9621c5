// What the operating system grants this process: memory and CPU time. Control groups of version 1
// and 2 are looked for where the process is and in every group above that it can see, so a limit
// counts whoever set it: a container, a systemd unit or the slice around it.
#pragma once

#include <cstdint>
#include <filesystem>

namespace dbrx {

// Bytes that this process may have in memory: the machine's, or less where a control group or the
// limit of its address space (ulimit -v) says so. What other processes have meanwhile is not taken
// off.
int64_t available_memory();

// Bytes of it that this process has in memory now, its share of the page cache included.
int64_t resident_memory();

// CPUs that control groups let this process use on average; 0: all.
double cpu_quota();

// The same from the control groups alone, with the files below `root` in the place of /proc and
// /sys: for tests. 0: no limit.
int64_t group_memory(const std::filesystem::path& root);
double group_cpu_quota(const std::filesystem::path& root);

}  // namespace dbrx
