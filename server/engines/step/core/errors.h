// Why a model cannot be run. Each carries a sentence for the operator.
#pragma once
#include <stdexcept>

namespace hearth::step {

// The file is damaged or contradicts itself.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The file is sound, but it holds something this engine does not know: another engine must serve it.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The file lacks a number without which no engine computes the model's own answers: it has to be converted again.
struct Incomplete : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace hearth::step
