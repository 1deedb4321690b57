#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/array.hpp"
#include "kernels/cpu/lanes.hpp"

namespace chainrule::kernels {

/// A chain of elementwise kernels that runs tile by tile: a tile of every intermediate stays in the L1
/// cache, so that memory is read once and written once however long the chain is.
struct ElementProgram {
  struct Step {
    LaneKernel kernel = nullptr;
    std::int32_t inputs[3] = {0, 0, 0};
    std::int32_t input_count = 0;
    std::int32_t output = 0;
  };
  std::vector<DType> registers;     ///< dtype of each register; the inputs come first
  std::vector<std::int32_t> tiles;  ///< which tile of scratch memory a register lives in; −1: none needed
  std::int32_t input_count = 0;
  std::int32_t tile_count = 0;
  std::vector<Step> steps;
  std::vector<std::int32_t> outputs;  ///< registers to store, in the order of the output arrays
};

/// Assigns scratch tiles: registers whose lives do not overlap share one. Call once after building.
void assign_tiles(ElementProgram& program);

/// Runs the program over the outputs' common shape. Inputs broadcast to it and may be strided. An output
/// may be the same memory as an input of the same dtype and layout.
void run_elementwise(const ElementProgram& program, std::span<const Array> inputs,
                     std::span<const Array> outputs);

}  // namespace chainrule::kernels
