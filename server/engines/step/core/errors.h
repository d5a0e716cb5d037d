// The reasons why a model cannot be run. Each error has a sentence for the operator.
#pragma once
#include <stdexcept>

namespace hearth::step {

// The file is damaged or contradicts itself.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The file is sound, but it contains something that this engine does not know, so another engine must serve the model.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The file lacks a number that every engine needs for the model's own answers, so it must be converted again.
struct Incomplete : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace hearth::step
