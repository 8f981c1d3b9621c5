// Named bundles of CPU instruction sets, ordered from the least to the best, as detected from CPUID
// and from what the operating system lets a process use.
#pragma once

#include <string_view>

namespace dbrx {

enum class Isa {
  scalar,  // baseline x86-64; the truth that every other kernel is compared with
  avx2,    // AVX2 + FMA + F16C
  avx512,  // AVX-512 F, BW, VL, DQ, VNNI
  amx,     // avx512 + AVX512-BF16 + AMX tiles, int8 and bf16
};

std::string_view isa_name(Isa isa);

// Parses "scalar", "avx2", "avx512" or "amx". Throws Error on another name.
Isa parse_isa(std::string_view name);

// The best bundle that this CPU and this operating system can run. Asks Linux once for the
// permission to use AMX tile registers.
Isa detect_isa();

// The bundle to use: `requested` (empty: the environment variable DBRX_ISA, else the best there
// is). Throws Error when the machine can't run it: an override may only lower.
Isa choose_isa(std::string_view requested);

// The rule behind it: the bundle called `name` if it is not above `best`; `source` is what the
// error calls the setting.
Isa lowered_isa(Isa best, std::string_view name, std::string_view source);

}  // namespace dbrx
