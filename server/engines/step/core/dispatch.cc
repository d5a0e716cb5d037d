// Chooses the kernels that this processor can run.
#include <stdexcept>

#include "decoder.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace hearth::step {
namespace {

#if defined(__x86_64__)
// __builtin_cpu_supports knows this instruction set only since GCC 14.
bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}
#endif

std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> tables;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
    tables.push_back(avx512_kernels());
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    if (has_avxvnni()) tables.push_back(avxvnni_kernels());
    tables.push_back(avx2_kernels());
  }
#elif defined(__aarch64__) && defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) tables.push_back(neon_kernels());
#elif defined(__aarch64__) && defined(__APPLE__)
  tables.push_back(neon_kernels());  // every Apple processor of this architecture has the dot product
#endif
  tables.push_back(portable_kernels());
  std::erase(tables, nullptr);
  return tables;
}

}  // namespace

const Kernels& choose_kernels(const std::string& name) {
  for (const auto* table : runnable())
    if (name.empty() || name == table->name) return *table;
  throw std::invalid_argument("no kernels named '" + name + "' run here");
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto* table : runnable()) names.emplace_back(table->name);
  return names;
}

}  // namespace hearth::step
