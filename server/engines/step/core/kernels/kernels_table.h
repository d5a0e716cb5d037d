// Collects one instruction set's functions in a table. Include after one simd_*.h, once in each source file.
#pragma once
#include "kernels.h"

namespace hearth::step {
// clang-format off: the other headers need the first.
#include "kernels_math.h"
#include "kernels_gemm.h"
#include "kernels_four.h"
#include "kernels_attention.h"
#include "kernels_rows.h"
// clang-format on

namespace {
constexpr Kernels table(const char* name) {
  return {name,   kWeightOffset, kQueryTile, gemm, gemm_four, quantize,      quantize_groups, norm,
          rotate, store_kv,      attend,     scan, exp_sums,  exp_sums_from, collect,         softcap};
}
}  // namespace
}  // namespace hearth::step
