#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/array.hpp"
#include "kernels/cpu/lanes.hpp"

namespace chainrule::kernels {

// What one program can hold. Its tables and its scratch memory have fixed sizes, so that a run allocates
// nothing; whoever builds groups of ops keeps to these numbers, and `assign_tiles` refuses what is beyond
// them.
constexpr int most_element_inputs = 16;
constexpr int most_element_steps = 24;  ///< ops; conversions between dtypes are not counted
constexpr int most_element_tiles = 24;
constexpr int most_element_registers = 96;

/// How the elements of an input are found.
enum class ElementAccess : std::uint8_t {
  direct,    ///< in place: it lies as the result does
  scalar,    ///< one number for all elements
  gathered,  ///< copied into a tile first: broadcast along some axes, or strided
  repeated   ///< gathered once for all tiles, since each holds a whole number of its periods
};
ElementAccess access_of(const Array& input, const Shape& shape);
/// After how many elements an input that is broadcast along the first axes begins anew; 0: never.
std::int64_t period_of(const Array& input, const Shape& shape);

/// A chain of elementwise kernels that runs tile by tile: a tile of every intermediate stays in the L1
/// cache, so that memory is read once and written once however long the chain is.
struct ElementProgram {
  /// A step of a chain; `input` tells where in the step's `inputs` its operand is.
  struct Link {
    ChainCode code = nullptr;
    ChainOperand kind = ChainOperand::none;
    std::size_t input = 0;
  };
  struct Step {
    LaneKernel kernel = nullptr;       ///< null: a chain, or the load of a gathered input, `output`
    std::vector<std::int32_t> inputs;  ///< none: a load
    std::int32_t output = 0;
    LaneChain chain = {};
    std::vector<Link> links;  ///< of a chain that begins with the first of `inputs`
  };
  std::vector<DType> registers;       ///< dtype of each register; the inputs come first
  std::vector<ElementAccess> inputs;  ///< as `access_of` tells from the arrays that each run gets
  std::vector<std::int64_t> periods;  ///< as `period_of` tells from them
  std::vector<Step> steps;
  std::vector<std::int32_t> outputs;  ///< registers to store, in the order of the output arrays
  std::vector<bool> stored_late;      ///< per output: copied after the last step, not computed in place
  std::vector<std::int32_t> tiles;    ///< which tile of scratch memory a register lives in; −1: none needed
  std::vector<std::int32_t> stored_as;  ///< the output that a register is computed in; −1: none
  std::int32_t tile_count = 0;
  std::int64_t tile_elements = 0;
  std::int64_t grain = 0;  ///< elements worth handing to a thread: a number of whole tiles
};

/// Finishes a program of which registers, inputs, periods, steps and outputs are given: joins steps to chains
/// (see LaneChain), chooses the length of a tile and which inputs repeat in it, inserts the loads of gathered
/// inputs, and assigns scratch tiles, of which registers whose lives do not overlap share one. False when the
/// program needs more than there is; then it is not to be run.
bool assign_tiles(ElementProgram& program);

/// Runs the program over the outputs' common shape. Inputs broadcast to it and may be strided. An output
/// may be the same memory as an input of the same dtype and layout that no later step reads.
void run_elementwise(const ElementProgram& program, std::span<const Array> inputs,
                     std::span<const Array> outputs);

}  // namespace chainrule::kernels
