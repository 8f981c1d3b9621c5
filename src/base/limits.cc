#include "base/limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dbrx {
namespace {

// A control group that this process is in, as a folder, and the highest one above it that is
// visible.
struct Group {
  std::filesystem::path folder;
  std::filesystem::path top;
  bool is_v2 = false;
};

// "cpu,cpuacct" has "cpu".
bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == word) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

struct Mount {
  std::string root;   // the group that is seen at `point`
  std::string point;  // where
  bool is_v2 = false;
};

// Where the groups of a controller ("memory", "cpu") are mounted. man 5 proc draws the lines of
// mountinfo.
std::vector<Mount> find_mounts(const std::filesystem::path& root, std::string_view controller) {
  std::vector<Mount> mounts;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    Mount mount;
    std::string skipped, type, options;
    std::istringstream(line) >> skipped >> skipped >> skipped >> mount.root >> mount.point;
    std::istringstream(line.substr(dash + 3)) >> type >> skipped >> options;
    mount.is_v2 = type == "cgroup2";
    if (mount.is_v2 || (type == "cgroup" && has_word(options, controller))) mounts.push_back(mount);
  }
  return mounts;
}

// A group's path below the mount's root; empty where the mount shows other groups than ours (a
// container that was given its host's /proc): then what it shows is all that can be known.
std::string path_in(const Mount& mount, const std::string& path) {
  if (mount.root == "/") return path;
  const bool inside = path.starts_with(mount.root) &&
                      (path.size() == mount.root.size() || path[mount.root.size()] == '/');
  return inside ? path.substr(mount.root.size()) : "";
}

std::vector<Group> find_groups(const std::filesystem::path& root, std::string_view controller) {
  const std::vector<Mount> mounts = find_mounts(root, controller);
  std::vector<Group> groups;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "4:memory:/a/b", of version 2 "0::/a/b"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    for (const Mount& mount : mounts) {
      if (mount.is_v2 ? !controllers.empty() : !has_word(controllers, controller)) continue;
      const std::filesystem::path top = root / std::filesystem::path(mount.point).relative_path();
      const std::filesystem::path below =
          std::filesystem::path(path_in(mount, path)).relative_path();
      groups.push_back(
          {.folder = below.empty() ? top : top / below, .top = top, .is_v2 = mount.is_v2});
    }
  }
  return groups;
}

// The number at the beginning of a file; nothing for "max" and for a file that is not there.
template <typename Number>
std::optional<Number> read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  Number value{};
  if (file >> value) return value;
  return {};
}

std::optional<int64_t> memory_of(const std::filesystem::path& folder, bool is_v2) {
  if (!is_v2) return read_number<int64_t>(folder / "memory.limit_in_bytes");
  // Beyond memory.high a process is slowed until it does nothing but wait.
  const auto most = read_number<int64_t>(folder / "memory.max");
  const auto high = read_number<int64_t>(folder / "memory.high");
  return most && high ? std::min(*most, *high) : most ? most : high;
}

std::optional<double> cpus_of(const std::filesystem::path& folder, bool is_v2) {
  double granted = 0, period = 0;  // microseconds
  if (is_v2) {
    std::ifstream file(folder / "cpu.max");
    file >> granted >> period;  // fails on "max 100000"
  } else {
    granted = read_number<double>(folder / "cpu.cfs_quota_us").value_or(0);  // -1: no limit
    period = read_number<double>(folder / "cpu.cfs_period_us").value_or(0);
  }
  if (granted <= 0 || period <= 0) return {};
  return granted / period;
}

// The least that the groups of a controller grant, all the way up.
template <typename Number, typename Read>
Number least_of_groups(const std::filesystem::path& root, std::string_view controller,
                       const Read& read) {
  Number least = 0;
  for (const Group& group : find_groups(root, controller)) {
    for (std::filesystem::path folder = group.folder;; folder = folder.parent_path()) {
      const std::optional<Number> granted = read(folder, group.is_v2);
      if (granted && *granted > 0 && (least == 0 || *granted < least)) least = *granted;
      if (folder == group.top || folder == folder.parent_path()) break;
    }
  }
  return least;
}

}  // namespace

int64_t group_memory(const std::filesystem::path& root) {
  return least_of_groups<int64_t>(root, "memory", memory_of);
}

double group_cpu_quota(const std::filesystem::path& root) {
  return least_of_groups<double>(root, "cpu", cpus_of);
}

int64_t available_memory() {
  int64_t bytes = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
  const int64_t granted = group_memory("/");
  if (granted > 0) bytes = std::min(bytes, granted);
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    bytes = static_cast<int64_t>(std::min(static_cast<rlim_t>(bytes), limit.rlim_cur));
  }
  return bytes;
}

int64_t resident_memory() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, resident = 0;  // pages
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

double cpu_quota() { return group_cpu_quota("/"); }

}  // namespace dbrx
