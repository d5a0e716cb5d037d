// Compiled with this instruction set's flags. On other architectures the table is null.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && \
    (defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__)))
#include "simd_avx2.h"

#include "kernels_table.h"

namespace hearth::step {
const Kernels* avxvnni_kernels() {
  static constexpr Kernels kTable = table("avx-vnni");
  return &kTable;
}
}  // namespace hearth::step
#else
#include "kernels.h"

namespace hearth::step {
const Kernels* avxvnni_kernels() { return nullptr; }
}  // namespace hearth::step
#endif
