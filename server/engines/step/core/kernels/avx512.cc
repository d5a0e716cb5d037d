// Compiled with this instruction set's flags. On other architectures the table is null.
#if defined(__AVX512F__) && defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && \
    defined(__AVX512DQ__)
#include "simd_avx512.h"

#include "kernels_table.h"

namespace hearth::step {
const Kernels* avx512_kernels() {
  static constexpr Kernels kTable = table("avx512-vnni");
  return &kTable;
}
}  // namespace hearth::step
#else
#include "kernels.h"

namespace hearth::step {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace hearth::step
#endif
