// Philox 4x32-10: a counter-based generator. A number depends only on key and counter, not on earlier numbers, so a
// row's draws depend on its seed and its position alone.
#pragma once
#include <cstdint>

namespace hearth::step {

// A uniform number in [0, 1) with 53 random bits.
inline double philox_uniform(std::uint64_t key, std::uint64_t counter) {
  auto c0 = static_cast<std::uint32_t>(counter), c1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t c2 = 0, c3 = 0;
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = static_cast<std::uint64_t>(0xD2511F53u) * c0;
    const std::uint64_t b = static_cast<std::uint64_t>(0xCD9E8D57u) * c2;
    c0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ k0;
    c2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(b);
    c3 = static_cast<std::uint32_t>(a);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const std::uint64_t bits = static_cast<std::uint64_t>(c0) << 32 | c1;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace hearth::step
