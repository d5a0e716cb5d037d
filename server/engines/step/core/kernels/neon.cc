// Compiled with this instruction set's flags. On other architectures the table is null.
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "simd_neon.h"

#include "kernels_table.h"

namespace hearth::step {
const Kernels* neon_kernels() {
  static constexpr Kernels kTable = table("neon-dotprod");
  return &kTable;
}
}  // namespace hearth::step
#else
#include "kernels.h"

namespace hearth::step {
const Kernels* neon_kernels() { return nullptr; }
}  // namespace hearth::step
#endif
