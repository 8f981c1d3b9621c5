// Philox4x32-10, the counter-based random generator of Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3" (SC 2011). A pure function of (seed, choice, position): no
// state, so the random number of a token does not depend on the batch, on preemption or on earlier
// draws.
#pragma once

#include <array>
#include <cstdint>

namespace dbrx {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

constexpr PhiloxCounter philox4x32_10(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// Uniform in [0, 1) with 53 bits, of the token at index `position` of its sequence (prompt
// included). Key: the seed. Counter: position (64 bits), choice, 0. The upper 53 bits of words 0
// and 1 are used.
constexpr double philox_uniform(uint64_t seed, int32_t choice, int64_t position) {
  const auto at = static_cast<uint64_t>(position);
  const PhiloxCounter words =
      philox4x32_10({static_cast<uint32_t>(at), static_cast<uint32_t>(at >> 32),
                     static_cast<uint32_t>(choice), 0},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = uint64_t{words[0]} << 32 | words[1];
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace dbrx
