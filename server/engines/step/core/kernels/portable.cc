// Built with the architecture's base flags: runs everywhere.
#include "simd_portable.h"

#include "kernels_table.h"

namespace hearth::step {
const Kernels* portable_kernels() {
  static constexpr Kernels kTable = table("portable");
  return &kTable;
}
}  // namespace hearth::step
