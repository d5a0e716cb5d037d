// A fixed team of threads that run one function together, sharing out its pieces of work.
//
// A step is one function run by all members: starting threads for every matrix product would cost more than small
// products. All members call share() in the same order; each call is a phase, over when its last piece is done. A
// member begins with the pieces that are its own, so that what it touches stays with its core, and then helps those
// that are behind. It waits for pieces, never for members: one that the operating system has put aside holds up only
// the pieces in its hands, and when it is back it passes over the phases that others finished. That matters where the
// cores are shared with other processes.
//
// Waiting members spin for some microseconds, as the next phase is usually that near, then sleep; between steps all
// sleep. Which member does what must never change a result.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace hearth::step {

class Team {
 public:
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Runs work(member), the caller being member 0 and others as they come. `work` must not throw.
  void run(const std::function<void(int member)>& work);

  // Inside `work`: calls piece(i) for those 0 <= i < pieces that this member gets, and returns when all are done.
  // Outside of a piece a member must touch nothing that pieces write: others may be phases ahead.
  // While it waits for the others it calls idle() as long as that answers true: time to fetch what comes next.
  template <typename Piece, typename Idle>
  void share(int member, int pieces, Piece piece, Idle idle) {
    if (size_ == 1) {
      for (int i = 0; i < pieces; ++i) piece(i);
      return;
    }
    if (pieces == 0) return;
    const std::uint32_t phase = members_[static_cast<std::size_t>(member)].phase++;
    int finished = 0;
    for (int helped = 0; helped < size_; ++helped) {
      const int owner = (member + helped) % size_;
      const int first = first_of(owner, pieces), count = first_of(owner + 1, pieces) - first;
      for (int i = claim(owner, phase, count); i >= 0; i = claim(owner, phase, count), ++finished) piece(first + i);
    }
    if (finished > 0) finish(phase, finished, pieces);
    while (phase_.load(std::memory_order_acquire) == phase && idle()) {}
    wait_while(phase_, phase, kSpinsInside);
  }
  template <typename Piece>
  void share(int member, int pieces, Piece piece) {
    share(member, pieces, piece, [] { return false; });
  }

  // Where a member's own pieces begin; what cannot be divided goes to the first.
  int first_of(int member, int pieces) const {
    return static_cast<int>((static_cast<std::int64_t>(pieces) * member + size_ - 1) / size_);
  }

 private:
  // A cache line for what a member alone writes, and one for what others may.
  struct Member {
    alignas(64) std::uint32_t phase = 0;               // the next this member comes to
    alignas(64) std::atomic<std::uint64_t> claims{0};  // the last phase whose own pieces were taken; below it how many
  };
  // Spins before sleeping: some 100 microseconds while a step runs, some 20 between steps, when cores may be others'.
  static constexpr int kSpinsInside = 5000, kSpinsBetween = 1000;

  void live(int member);
  // The next of the `count` pieces that are owner's in a phase; -1 when none is left or the phase is over.
  int claim(int owner, std::uint32_t phase, int count);
  void finish(std::uint32_t phase, int finished, int pieces);
  static void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old, int spins);

  const int size_;
  const std::function<void(int)>* work_ = nullptr;
  std::vector<Member> members_;
  alignas(64) std::atomic<int> done_{0};             // finished pieces of the phase
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // the one that is not over
  alignas(64) std::atomic<std::uint32_t> round_{0};  // counts runs; idle members wait on it
  std::atomic<std::uint32_t> open_{0};               // the run that members may still enter; 0: none
  std::atomic<std::uint32_t> inside_{0};             // members other than 0 that are in it
  std::atomic<bool> over_{false};
  std::vector<std::thread> threads_;
};

}  // namespace hearth::step
