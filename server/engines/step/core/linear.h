// Int8 or four-bit weights of one linear layer, packed for the kernels (layout: kernels/kernels.h), with the operations
// that the kernels fuse into the store of the product.
#pragma once
#include <string>
#include <vector>

#include "aligned.h"
#include "kernels/kernels.h"
#include "model_file.h"
#include "pages.h"

namespace hearth::step {

// Some outputs of a layer, packed as their own matrix.
struct Picked {
  Aligned<std::int8_t> packed;
  Aligned<float> inverse_scale, bias;
  LinearView view{};
};

class Linear {
 public:
  Linear() = default;

  // Loads the layer at `scope`. The arena owns its arrays.
  Linear(Arena& arena, const ModelFile& file, const std::string& scope, const Kernels& kernels, Store store,
         Activation activation = Activation::kNone);

  // Loads act(gate) * up as one layer, with 16 rows of gate and 16 rows of up by turns.
  static Linear gated(Arena& arena, const ModelFile& file, const std::string& gate, const std::string& up,
                      const Kernels& kernels, Activation activation);

  bool is_four_bit() const { return groups_ > 0; }
  LinearView view() const;
  FourBitView four_bit_view() const;
  int panels() const { return panels_; }
  // The number of blocks in a row of quantised inputs.
  int blocks() const { return is_four_bit() ? groups_ * (kGroupInputs / kScaleInputs) : inputs4_ * 4 / kScaleInputs; }
  const std::int8_t* packed() const { return packed_; }
  std::size_t bytes() const { return static_cast<std::size_t>(panels_) * panel_bytes(); }
  std::size_t panel_bytes() const {
    return is_four_bit() ? four_bit_panel(groups_) : static_cast<std::size_t>(inputs4_) * kPanel * 4;
  }

  // Packs these outputs of an int8 layer, in this order. The layer's store must be a plain write.
  Picked pick(const std::vector<std::int32_t>& outputs) const;

  // Writes weight row `output` as floats, of four-bit weights whole groups. The row is an embedding if the projection's
  // matrix has the embeddings too.
  void row(int output, float factor, float* to) const;

 private:
  // Takes memory for so many outputs of a layer with a weight of this form.
  Linear(Arena& arena, int outputs, const Variable& weight, bool biased, const Kernels& kernels, Store store,
         Activation activation);
  // Packs one matrix. Its output o becomes packed output place(o).
  template <typename Place>
  void pack(const ModelFile& file, const std::string& scope, Place place);
  // Packs one weight row. Returns false if it contains -128.
  bool pack_row(const std::int8_t* row, int output);
  // The same for the halves of bytes and the group scales of one row.
  void pack_four_bit_row(const std::int8_t* row, const std::int8_t* scales, int output);
  void four_bit_row(int output, float factor, float* to) const;

  std::int8_t* packed_ = nullptr;
  float* inverse_scale_ = nullptr;
  float* bias_ = nullptr;  // null: none
  int inputs_ = 0, inputs4_ = 0, groups_ = 0, panels_ = 0, offset_ = 0;
  Store store_ = Store::kWrite;
  Activation activation_ = Activation::kNone;
};

}  // namespace hearth::step
