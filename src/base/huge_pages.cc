#include "base/huge_pages.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

namespace dbrx {

int64_t huge_mapped_bytes(std::span<const std::byte> memory) {
  std::ifstream smaps("/proc/self/smaps");
  const auto begin = reinterpret_cast<uint64_t>(memory.data());
  return huge_mapped_bytes(smaps, begin, begin + memory.size());
}

// A mapping is a line "begin-end flags ...", followed by lines "Name:  123 kB".
int64_t huge_mapped_bytes(std::istream& smaps, uint64_t begin, uint64_t end) {
  constexpr std::array<std::string_view, 3> kFields = {
      "FilePmdMapped:", "AnonHugePages:", "ShmemPmdMapped:"};
  int64_t kilobytes = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uint64_t first = 0;
    uint64_t last = 0;
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " ", &first, &last) == 2) {
      inside = first >= begin && first < end;
    }
    if (!inside) continue;
    for (const std::string_view field : kFields) {
      if (line.starts_with(field)) kilobytes += std::stoll(line.substr(field.size()));
    }
  }
  return kilobytes * 1024;
}

}  // namespace dbrx
