#include "team.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hearth::step {
namespace {

void breathe() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Team::wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    breathe();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

Team::Team(int threads) : size_(threads < 1 ? 1 : threads), members_(static_cast<std::size_t>(size_)) {
  for (int member = 1; member < size_; ++member) threads_.emplace_back([this, member] { live(member); });
}

Team::~Team() {
  over_.store(true);
  round_.fetch_add(1);
  round_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Team::run(const std::function<void(int)>& work) {
  if (size_ == 1) return work(0);
  // No member is inside a run now, so this thread may prepare the next run.
  work_ = &work;
  for (auto& m : members_) m.phase = phase_.load(std::memory_order_relaxed);
  std::uint32_t round = round_.load() + 1;
  if (round == 0) round = 1;  // 0 means none
  open_.store(round);
  round_.store(round);
  round_.notify_all();
  work(0);
  // All pieces are done, and the members inside only have to notice that. A member that has not entered yet either sees
  // the run closed and stays outside, or this thread sees it inside (both orders are sequentially consistent).
  open_.store(0);
  for (std::uint32_t n = inside_.load(); n != 0; n = inside_.load()) wait_while(inside_, n, kSpinsInside);
}

void Team::live(int member) {
  for (std::uint32_t seen = 0, last = 0;;) {
    wait_while(round_, seen, kSpinsBetween);
    seen = round_.load();
    if (over_.load()) return;
    inside_.fetch_add(1);
    // A late member may find the next run open already. It must not enter that run a second time afterwards.
    if (const auto open = open_.load(); open != 0 && open != last) {
      (*work_)(member);
      last = open;
    }
    inside_.fetch_sub(1);
    inside_.notify_all();
  }
}

int Team::claim(int owner, std::uint32_t phase, int count) {
  auto& claims = members_[static_cast<std::size_t>(owner)].claims;
  for (std::uint64_t old = claims.load(std::memory_order_acquire);;) {
    // If the counter is of another phase, either no piece of this phase was taken yet, or this phase is over.
    const bool same = static_cast<std::uint32_t>(old >> 32) == phase;
    if (!same && phase_.load(std::memory_order_acquire) != phase) return -1;
    const std::uint32_t taken = same ? static_cast<std::uint32_t>(old) : 0;
    if (taken >= static_cast<std::uint32_t>(count)) return -1;
    const std::uint64_t next = static_cast<std::uint64_t>(phase) << 32 | (taken + 1);
    if (claims.compare_exchange_weak(old, next, std::memory_order_acq_rel, std::memory_order_acquire))
      return static_cast<int>(taken);
  }
}

void Team::finish(std::uint32_t phase, int finished, int pieces) {
  if (done_.fetch_add(finished, std::memory_order_acq_rel) + finished < pieces) return;
  done_.store(0, std::memory_order_relaxed);
  phase_.store(phase + 1, std::memory_order_release);
  phase_.notify_all();
}

}  // namespace hearth::step
