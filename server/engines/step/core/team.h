// A fixed team of threads that run one function together, with barriers inside it.
//
// A step is one function run by all: starting threads for every matrix product would cost more than small products.
// Waiting threads spin for some microseconds, as the next piece of work is usually that near, then sleep; between
// steps nobody spins for longer. Which member does what must never change a result.
#pragma once
#include <atomic>
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

  // Runs work(member) on all members, the caller being member 0. `work` must not throw.
  void run(const std::function<void(int member)>& work);

  // Inside `work`: waits for all members, and starts the count of claims anew.
  void barrier();

  // Inside `work`: the next piece of work, 0, 1, 2 ... since the last barrier.
  int claim() { return next_.fetch_add(1, std::memory_order_relaxed); }

  // Inside `work`: calls piece(i) for 0 <= i < pieces, dealt out to whoever is free, then waits for all.
  template <typename Piece>
  void share(int pieces, Piece piece) {
    if (size_ == 1) {
      for (int i = 0; i < pieces; ++i) piece(i);
      return;
    }
    for (int i = claim(); i < pieces; i = claim()) piece(i);
    barrier();
  }

 private:
  void live(int member);

  const int size_;
  const std::function<void(int)>* work_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> round_{0};     // counts runs; the members wait on it
  alignas(64) std::atomic<std::uint32_t> phase_{0};     // counts barriers
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> next_{0};
  bool over_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace hearth::step
