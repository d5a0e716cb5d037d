// The arithmetic of a decoder step, one table of functions an instruction set.
//
// Contract that the whole engine rests on: what is computed for a row depends on that row alone. Each float sum has
// one order, fixed by the row's own length; how many rows share a call, how a prompt is cut and how many threads
// work changes which sums are computed together, never the order inside one. So results are bitwise the same.
//
// Only plain types here: the tables are compiled with flags of their own, and an inline function of the standard
// library compiled there could be picked by the linker for a processor that lacks the instructions.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace hearth::step {

inline constexpr int kLane = 16;          // floats a vector, and outputs a weight block
inline constexpr int kPanel = 2 * kLane;  // outputs a weight panel
inline constexpr int kBlockTokens = 16;   // positions a cache block

enum class Activation : int { kRelu = 0, kGeluTanh = 1, kSwish = 2, kGelu = 3, kGeluSigmoid = 4, kNone = -1 };

// What happens to a product on its way to memory.
enum class Store : int {
  kWrite,  // out = act(product)
  kAdd,    // out += product: the residual stream
  kGated,  // the panel is 16 gate rows then the 16 up rows beside them: out = act(gate) * up, 16 columns a panel
};

// Int8 weights of a linear layer, packed once at load. Outputs go in panels of 32, a panel in two blocks of 16. In
// memory: for each panel, for each four inputs, for each block, for each of its 16 outputs, the four weights.
// So one 64-byte vector is what a four-way int8 dot product wants, and a panel is read front to back. Where the dot
// product takes unsigned weights, each has Kernels::weight_offset added.
struct LinearView {
  const int8_t* packed;
  const float* inverse_scale;  // an output; 0 where padded
  const float* bias;           // an output, or null
  int blocks;                  // of inputs: as many as an ActivationView's rows have
  int panels;
  Activation activation;
  Store store;
};

// Inputs of a row that share a scale: the largest magnitude among them becomes 127. With one scale a row all inputs
// would be rounded as coarsely as the largest of them wants, and a trained model has a few very large ones: that was
// most of what int8 cost.
inline constexpr int kScaleInputs = kLane;
struct ActivationBlock {
  int8_t values[kScaleInputs];
  float scale;    // of one step
  int32_t start;  // of a dot product: what takes back the offset of the weights
};

// Quantised activations. Rows are `stride` blocks apart.
struct ActivationView {
  const ActivationBlock* data;
  size_t stride;
};

struct NormView {
  const float* gamma;  // zero where padded
  const float* beta;   // null: root mean square norm
  float epsilon;
  int size;  // true size; rows are padded with zeros to a multiple of 16
};

struct Query {
  const float* q;
  float* out;
  int begin;  // attends to positions begin .. end-1
  int end;
};

// Queries of one sequence and one key/value head. A cache block holds, for this head, the keys as [head_dim][16]
// (so a vector is one dimension of 16 positions: scores need no horizontal sums) and then values as [16][head_dim].
struct AttendJob {
  const Query* queries;
  int count;              // at most Kernels::query_tile
  const int32_t* blocks;  // the sequence's block numbers
  const uint16_t* cache;  // this layer's and head's part of block 0, half precision
  size_t block_stride;    // halves from a block to the next
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

  // out[rows row0..row0+rows) of panels panel0..panel0+panels). Columns are padded to 16 and written as zeros there.
  void (*gemm)(const LinearView&, const ActivationView&, int row0, int rows, int panel0, int panels, float* out,
               size_t out_stride);
  // Quantises n floats, a multiple of 16, to a block for each 16.
  void (*quantize)(const float* x, int n, ActivationBlock* out);
  void (*norm)(const NormView&, const float* x, float* out);
  // Rotates pairs: (i, i+half), or (2i, 2i+1) when interleaved.
  void (*rotate)(float* x, const float* cosine, const float* sine, int half, bool interleaved);
  void (*store_kv)(const float* key, const float* value, int head_dim, uint16_t* block, int slot);
  void (*attend)(const AttendJob&);

  // Sampling over n floats; n is a multiple of 16 and padding is -infinity.
  Scan (*scan)(const float* x, int n);
  // sums[i] = sum of exp((x - max) * scale) over the i-th 256 values.
  void (*exp_sums)(const float* x, int n, float max, float scale, float* sums);
  // The same for each of kLevels levels over the values not below it; those of a level lie together, as exp_sums' do.
  void (*exp_sums_from)(const float* x, int n, float max, float scale, const float* levels, float* sums);
  // Ids of values with least <= x < below, in order; returns how many there are, or stops soon after `most`.
  int (*collect)(const float* x, int n, float least, float below, int most, int32_t* ids);
  void (*softcap)(float* x, int n, float cap);
};

inline constexpr int kExpSegment = 256, kLevels = 8;

// The tables; null where the compiler could not build one for this architecture.
const Kernels* avx512_kernels();
const Kernels* avxvnni_kernels();
const Kernels* avx2_kernels();
const Kernels* neon_kernels();
const Kernels* portable_kernels();

}  // namespace hearth::step
