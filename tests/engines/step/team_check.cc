// A team of threads under the thread sanitizer: pieces of a phase read what the phase before wrote, each piece is done
// once, and members come late or not at all. Run by `make sanitize`.
#include <cstdio>
#include <vector>

#include "team.h"

using hearth::step::Team;

namespace {

constexpr int kRuns = 3000, kMostPieces = 23;

int phases(int run) { return 1 + run % 7; }
int pieces(int run, int phase) { return 1 + (phase * 5 + run) % kMostPieces; }

// The number of things that went wrong.
long check(int threads) {
  Team team(threads);
  std::vector<long> times(kMostPieces), seen(kMostPieces);
  long wrong = 0, wanted = 0, done = 0;
  for (int run = 0; run < kRuns; ++run) {
    team.run([&](int member) {
      for (int phase = 0; phase < phases(run); ++phase) {
        const int count = pieces(run, phase);
        int chances = 3;  // what a waiting member does in between
        team.share(member, count, [&](int i) { times[i] += 1; }, [&] { return --chances > 0; });
        team.share(member, count, [&](int i) { seen[i] = times[count - 1 - i]; });
        team.share(member, 1, [&](int) {
          for (int i = 0; i < count; ++i) wrong += seen[i] != times[count - 1 - i];
        });
      }
    });
    for (int phase = 0; phase < phases(run); ++phase) wanted += pieces(run, phase);
  }
  for (const long n : times) done += n;
  return wrong + (done != wanted);
}

}  // namespace

int main() {
  long wrong = 0;
  for (const int threads : {1, 2, 3, 5}) wrong += check(threads);
  std::printf("team: %s\n", wrong == 0 ? "every piece once, and in order" : "WRONG");
  return wrong != 0;
}
