#include "base/isa.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"

namespace dbrx {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"scalar", "avx2", "avx512", "amx"};

struct CpuLeaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuLeaf leaf(uint32_t number, uint32_t sub) {
  CpuLeaf out;
  if (!__get_cpuid_count(number, sub, &out.eax, &out.ebx, &out.ecx, &out.edx)) return {};
  return out;
}

bool bit(uint32_t word, int index) { return (word >> index & 1) != 0; }

// The register state that the operating system saves on a context switch (XCR0).
uint64_t enabled_state() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

// Linux hands out the 8 KiB of tile state only to a process that asked for it.
bool request_tile_permission() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

Isa detect() {
  const CpuLeaf one = leaf(1, 0);
  const CpuLeaf seven = leaf(7, 0);
  const CpuLeaf seven_one = leaf(7, 1);
  const bool osxsave = bit(one.ecx, 27);
  if (!osxsave) return Isa::scalar;
  const uint64_t state = enabled_state();
  const bool avx_state = (state & 0x6) == 0x6;
  const bool fma = bit(one.ecx, 12), f16c = bit(one.ecx, 29), avx2 = bit(seven.ebx, 5);
  if (!(avx_state && fma && f16c && avx2)) return Isa::scalar;
  const bool avx512_state = (state & 0xe6) == 0xe6;
  const bool f = bit(seven.ebx, 16), dq = bit(seven.ebx, 17), bw = bit(seven.ebx, 30),
             vl = bit(seven.ebx, 31), vnni = bit(seven.ecx, 11);
  if (!(avx512_state && f && dq && bw && vl && vnni)) return Isa::avx2;
  const bool tile_state = (state & 0x60000) == 0x60000;
  const bool avx512_bf16 = bit(seven_one.eax, 5);
  const bool amx_bf16 = bit(seven.edx, 22), amx_tile = bit(seven.edx, 24),
             amx_int8 = bit(seven.edx, 25);
  if (tile_state && avx512_bf16 && amx_bf16 && amx_tile && amx_int8 && request_tile_permission()) {
    return Isa::amx;
  }
  return Isa::avx512;
}

}  // namespace

std::string_view isa_name(Isa isa) { return kNames.at(static_cast<size_t>(isa)); }

Isa parse_isa(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Isa>(i);
  }
  throw Error(Code::invalid_argument, "unknown instruction set '" + std::string(name) +
                                          "': use scalar, avx2, avx512 or amx");
}

Isa detect_isa() {
  static const Isa best = detect();
  return best;
}

Isa lowered_isa(Isa best, std::string_view name, std::string_view source) {
  const Isa isa = parse_isa(name);
  if (isa > best) {
    throw Error(Code::invalid_argument, std::string(source) + ": this machine can't run '" +
                                            std::string(name) + "': its best instruction set is '" +
                                            std::string(isa_name(best)) + "'");
  }
  return isa;
}

Isa choose_isa(std::string_view requested) {
  const Isa best = detect_isa();
  if (!requested.empty()) return lowered_isa(best, requested, "--isa");
  // Nothing in this program changes the environment.
  const char* environment = std::getenv("DBRX_ISA");  // NOLINT(concurrency-mt-unsafe)
  if (environment == nullptr || *environment == '\0') return best;
  return lowered_isa(best, environment, "DBRX_ISA");
}

}  // namespace dbrx
