// The arithmetic of a decoder step: one table of functions for each instruction set.
//
// The whole engine depends on this contract: the numbers of a row depend on that row alone. Each float sum has one
// order, fixed by the row's own length. The number of rows in a call, the chunks of a prompt and the number of threads
// change which sums are computed together, but never the order inside a sum. So results are bitwise the same.
//
// This header uses only plain types. Each table is compiled with its own flags. An inline function of the standard
// library compiled there could be chosen by the linker for a processor that lacks the instructions.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace hearth::step {

inline constexpr int kLane = 16;          // floats in a vector, and outputs in a weight block
inline constexpr int kPanel = 2 * kLane;  // outputs in a weight panel
inline constexpr int kBlockTokens = 16;   // positions in a cache block

enum class Activation : int { kRelu = 0, kGeluTanh = 1, kSwish = 2, kGelu = 3, kGeluSigmoid = 4, kNone = -1 };

// The operation that is fused into the store of a product.
enum class Store : int {
  kWrite,  // out = act(product)
  kAdd,    // out += product: the residual stream
  kGated,  // a panel is 16 gate rows, then their 16 up rows: out = act(gate) * up, 16 columns for each panel
};

// Int8 weights of a linear layer, packed once at load. Outputs are in panels of 32, a panel in two blocks of 16. The
// order in memory: for each panel, for each four inputs, for each block, for each of its 16 outputs, the four weights.
// So one 64-byte vector is the operand of a four-way int8 dot product, and a panel is read front to back. If the dot
// product takes unsigned weights, Kernels::weight_offset is added to each.
struct LinearView {
  const int8_t* packed;
  const float* inverse_scale;  // for each output; 0 for padding
  const float* bias;           // for each output, or null
  int blocks;                  // of inputs, as many as in a row of an ActivationView
  int panels;
  Activation activation;
  Store store;
};

// Four-bit weights of a linear layer. Groups of 32 inputs of an output share a whole number, the group's scale; the
// weight is kFours[nibble] * group scale * inverse_scale. The order in memory, for each panel, for each two groups: 64
// bytes with the scales of the first group's 32 outputs and those of the second's; then for each group, for each four
// inputs, 64 bytes: the low halves are the four weights of the first 16 outputs, the high halves those of the
// second 16. So 64 bytes are both operands of a step, and a panel is read front to back.
inline constexpr int kGroupInputs = 32;
inline constexpr int kGroupBytes = kGroupInputs * kPanel / 2;
// Uneven steps: small weights are the most frequent, so the steps are finer around zero.
inline constexpr int8_t kFours[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
struct FourBitView {
  const int8_t* packed;
  const float* inverse_scale;  // for each output; 0 for padding
  const float* bias;           // for each output, or null
  int groups;                  // of inputs; a row of an ActivationView has two blocks for each
  int panels;
  Activation activation;
  Store store;
};
// Where in a panel the scales and the weights of a group begin, and the bytes of a panel.
constexpr size_t four_bit_scales(int group) {
  return static_cast<size_t>(group / 2) * (2 * kGroupBytes + 2 * kPanel) + static_cast<size_t>(group % 2) * kPanel;
}
constexpr size_t four_bit_weights(int group) {
  return static_cast<size_t>(group) * kGroupBytes + static_cast<size_t>(group / 2 + 1) * 2 * kPanel;
}
constexpr size_t four_bit_panel(int groups) {
  return static_cast<size_t>(groups) * kGroupBytes + static_cast<size_t>((groups + 1) / 2) * 2 * kPanel;
}

// The bytes of a group in the scratch memory of gemm_four: 32 scales as floats, and the weights as int8.
inline constexpr int kUnpackedGroupBytes = kPanel * 4 + kGroupInputs * kPanel;

// The number of inputs of a row that share a scale; the largest magnitude among them becomes 127. With one scale for
// the whole row, all inputs would be rounded as coarsely as the largest needs. A trained model has a few very large
// inputs, so that was most of the loss of int8.
inline constexpr int kScaleInputs = kLane;
struct ActivationBlock {
  int8_t values[kScaleInputs];
  float scale;    // the value of one integer step
  int32_t start;  // initial value of a dot product, which cancels the offset of the weights
};

// Quantised activations. Rows are `stride` blocks apart.
struct ActivationView {
  const ActivationBlock* data;
  size_t stride;
};

struct NormView {
  const float* gamma;  // zero for padding
  const float* beta;   // null: root mean square norm
  float epsilon;
  int size;  // without the zeros that pad rows to a multiple of 16
};

struct Query {
  const float* q;
  float* out;
  int begin;  // attends to positions begin .. end-1
  int end;
};

// Queries of one sequence and one key/value head. For this head a cache block has the keys as [head_dim][16] and then
// the values as [16][head_dim]. A vector of keys is one dimension of 16 positions, so scores need no horizontal sums.
struct AttendJob {
  const Query* queries;
  int count;              // at most Kernels::query_tile
  const int32_t* blocks;  // the sequence's block numbers
  const uint16_t* cache;  // this layer's and head's part of block 0, half precision
  size_t block_stride;    // half-precision numbers from a block to the next
  int head_dim;           // a multiple of 16
  float scale;
  float softcap;         // of the scaled scores; 0: none
  float* scores;         // scratch: query_tile rows
  size_t scores_stride;  // at least the longest range rounded up to 16, plus 16
};

struct Scan {
  float max;
  bool has_nan;
};

struct Kernels {
  const char* name;
  int weight_offset;  // added to a weight to make it unsigned: 128 or 0
  int query_tile;

  // Computes rows [row0, row0+rows) and panels [panel0, panel0+panels) of out. Columns are padded with zeros to 16.
  void (*gemm)(const LinearView&, const ActivationView&, int row0, int rows, int panel0, int panels, float* out,
               size_t out_stride);
  // The same for four-bit weights. `unpacked` has groups * kUnpackedGroupBytes bytes on a cache line.
  void (*gemm_four)(const FourBitView&, const ActivationView&, int row0, int rows, int panel0, int panels, float* out,
                    size_t out_stride, int8_t* unpacked);
  // Quantises n floats, a multiple of 16, to one block for each 16.
  void (*quantize)(const float* x, int n, ActivationBlock* out);
  // The same for the product with four-bit weights: n is a multiple of 32, and two blocks have the same scale.
  void (*quantize_groups)(const float* x, int n, ActivationBlock* out);
  void (*norm)(const NormView&, const float* x, float* out);
  // Rotates pairs: (i, i+half), or (2i, 2i+1) when interleaved.
  void (*rotate)(float* x, const float* cosine, const float* sine, int half, bool interleaved);
  void (*store_kv)(const float* key, const float* value, int head_dim, uint16_t* block, int slot);
  void (*attend)(const AttendJob&);

  // Passes over n logits for sampling; n is a multiple of 16 and padding is -infinity.
  Scan (*scan)(const float* x, int n);
  // sums[i] = sum of exp((x - max) * scale) over the i-th 256 values.
  void (*exp_sums)(const float* x, int n, float max, float scale, float* sums);
  // The same for each of kLevels levels over the values not below the level. Each level has its own row of sums.
  void (*exp_sums_from)(const float* x, int n, float max, float scale, const float* levels, float* sums);
  // Writes the ids of values with least <= x < below, in order, and returns their number. Stops soon after `most`.
  int (*collect)(const float* x, int n, float least, float below, int most, int32_t* ids);
  void (*softcap)(float* x, int n, float cap);
};

inline constexpr int kExpSegment = 256, kLevels = 8;

// The tables; null if the compiler could not build the table for this architecture.
const Kernels* avx512_kernels();
const Kernels* avxvnni_kernels();
const Kernels* avx2_kernels();
const Kernels* neon_kernels();
const Kernels* portable_kernels();

}  // namespace hearth::step
