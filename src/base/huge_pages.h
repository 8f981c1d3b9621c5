// How much of a piece of memory the kernel maps with huge pages.
#pragma once

#include <cstdint>
#include <istream>
#include <span>

namespace dbrx {

// The bytes of this process's mappings inside `memory` that are mapped by 2 MB pages, of files and
// anonymous ones. 0 where the kernel does not say.
int64_t huge_mapped_bytes(std::span<const std::byte> memory);

// The same from the text of /proc/<pid>/smaps.
int64_t huge_mapped_bytes(std::istream& smaps, uint64_t begin, uint64_t end);

}  // namespace dbrx
