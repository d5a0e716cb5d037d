// A fixed team of threads that run one function together and share its pieces of work.
//
// A step is one function that all members run, because starting threads for every matrix product would cost more than
// small products. All members call share() in the same order. Each call is a phase, which is over when its last piece
// is done. A member begins with its own pieces, so that their data stays in its core's cache, and then helps members
// that are behind. It waits for pieces, never for members. A member that the operating system has suspended delays only
// the pieces it has taken, and later skips the phases that others have finished. That matters if other processes share
// the cores.
//
// Waiting members spin for some microseconds, because the next phase usually begins by then, and sleep afterwards.
// Between steps all sleep. The division of pieces among members must never change a result.
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

  // Runs work(member). The caller is member 0; other members join when they wake up. `work` must not throw.
  void run(const std::function<void(int member)>& work);

  // Called inside `work`. Calls piece(i) for each 0 <= i < pieces that this member takes, and returns when all pieces
  // are done. Outside of a piece a member must not touch data that pieces write, since others may be phases ahead.
  // While it waits for other members, it calls idle() as long as that returns true, to prefetch later data.
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

  // The first of a member's own pieces. The numbers of pieces differ by at most one, and member 0 has the most.
  int first_of(int member, int pieces) const {
    return static_cast<int>((static_cast<std::int64_t>(pieces) * member + size_ - 1) / size_);
  }

 private:
  // Only the member writes its first cache line; all members may write the second.
  struct Member {
    alignas(64) std::uint32_t phase = 0;               // the next phase of this member
    alignas(64) std::atomic<std::uint64_t> claims{0};  // high half: last phase of its pieces; low half: pieces taken
  };
  // Spins before sleep: about 100 microseconds inside a step, about 20 between steps, when others may need the cores.
  static constexpr int kSpinsInside = 5000, kSpinsBetween = 1000;

  void live(int member);
  // Takes the next of the owner's `count` pieces in a phase. Returns -1 if none is left or the phase is over.
  int claim(int owner, std::uint32_t phase, int count);
  void finish(std::uint32_t phase, int finished, int pieces);
  static void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old, int spins);

  const int size_;
  const std::function<void(int)>* work_ = nullptr;
  std::vector<Member> members_;
  alignas(64) std::atomic<int> done_{0};             // finished pieces of the phase
  alignas(64) std::atomic<std::uint32_t> phase_{0};  // the current phase
  alignas(64) std::atomic<std::uint32_t> round_{0};  // counts runs; idle members wait on it
  std::atomic<std::uint32_t> open_{0};               // the run that members may still enter; 0: none
  std::atomic<std::uint32_t> inside_{0};             // members other than 0 that are in the run
  std::atomic<bool> over_{false};
  std::vector<std::thread> threads_;
};

}  // namespace hearth::step
