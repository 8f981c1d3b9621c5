#include "telemetry/process_families.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "telemetry/family_list.h"

namespace dbrx {
namespace {

struct ProcessStat {
  double virtual_bytes = 0;
  double resident_bytes = 0;
  double started = 0;  // seconds since 1970
};

// Seconds since 1970; 0: unknown.
double boot_time() {
  std::ifstream in("/proc/stat");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  }
  return 0;
}

// proc(5): the name, in brackets, may hold anything; behind it stand the fields from the third on.
std::optional<ProcessStat> read_stat() {
  constexpr int kStartTime = 22, kVirtual = 23, kResident = 24;
  std::ifstream in("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  ProcessStat stat;
  std::string field;
  for (int i = 3; i <= kResident && fields >> field; ++i) {
    if (i == kStartTime) {
      stat.started = boot_time() + std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
    if (i == kVirtual) stat.virtual_bytes = std::stod(field);
    if (i == kResident) {
      stat.resident_bytes = std::stod(field) * static_cast<double>(sysconf(_SC_PAGESIZE));
    }
  }
  return stat;
}

double cpu_seconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::optional<int64_t> open_files() {
  std::error_code ec;
  std::filesystem::directory_iterator at("/proc/self/fd", ec);
  int64_t n = -1;  // one is the folder's own
  for (; !ec && at != std::filesystem::directory_iterator(); at.increment(ec)) ++n;
  return ec ? std::nullopt : std::optional(n);
}

}  // namespace

std::vector<prometheus::MetricFamily> process_families() {
  FamilyList out;
  out.counter("process_cpu_seconds_total", "CPU time of this process, of users and system.",
              cpu_seconds());
  if (const std::optional<ProcessStat> stat = read_stat()) {
    out.gauge("process_virtual_memory_bytes", "Address space of this process.",
              stat->virtual_bytes);
    out.gauge("process_resident_memory_bytes",
              "Memory of this process, mapped files that lie in memory included.",
              stat->resident_bytes);
    out.gauge("process_start_time_seconds", "When this process began, since 1970.", stat->started);
  }
  if (const std::optional<int64_t> n = open_files()) {
    out.gauge("process_open_fds", "Open file descriptors.", static_cast<double>(*n));
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.gauge("process_max_fds", "File descriptors that there may be.",
              static_cast<double>(limit.rlim_cur));
  }
  return out.take();
}

}  // namespace dbrx
