// Compiled with the architecture's base flags, so it runs on every processor of the architecture.
#include "simd_portable.h"

#include "kernels_table.h"

namespace hearth::step {
const Kernels* portable_kernels() {
  static constexpr Kernels kTable = table("portable");
  return &kTable;
}
}  // namespace hearth::step
