#include "kernels/cpu/elementwise.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/copy.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t tile_bytes = 4096;
constexpr int max_tiles = 24;
constexpr int max_arrays = 64;
// Work below this many elements is not worth waking a thread for.
constexpr std::int64_t grain = 16384;

enum class Access : std::uint8_t { direct, scalar, gathered };

struct Operand {
  Array view;  // broadcast to the iteration shape
  Access access = Access::direct;
};

Array broadcast_view(const Array& array, const Shape& shape) {
  Array view{array.data, array.dtype, shape, Dims::filled(shape.size(), 0)};
  const int extra = shape.size() - array.shape.size();
  for (int i = extra; i < shape.size(); ++i) {
    if (array.shape[i - extra] != 1) view.strides[i] = array.strides[i - extra];
  }
  return view;
}

Access access_of(const Array& view) {
  bool all_zero = true;
  bool dense = true;
  std::int64_t expected = 1;
  for (int i = view.shape.size() - 1; i >= 0; --i) {
    if (view.shape[i] == 1) continue;
    all_zero = all_zero && view.strides[i] == 0;
    dense = dense && view.strides[i] == expected;
    expected *= view.shape[i];
  }
  if (dense) return Access::direct;
  return all_zero ? Access::scalar : Access::gathered;
}

std::byte* element(const Array& array, std::int64_t index) {
  return static_cast<std::byte*>(array.data) + index * static_cast<std::int64_t>(dtype_size(array.dtype));
}

class TileRunner {
 public:
  TileRunner(const ElementProgram& program, std::span<const Operand> inputs, std::span<const Array> outputs,
             std::int64_t tile_elements)
      : program_(program), inputs_(inputs), outputs_(outputs), tile_elements_(tile_elements) {}

  void run(std::int64_t begin, std::int64_t end) {
    fill_scalars(std::min(tile_elements_, end - begin));
    for (std::int64_t at = begin; at < end; at += tile_elements_)
      run_tile(at, std::min(tile_elements_, end - at));
  }

 private:
  std::byte* tile(std::int32_t reg) {
    return scratch_ + program_.tiles[static_cast<std::size_t>(reg)] * tile_bytes;
  }

  void fill_scalars(std::int64_t count) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].access != Access::scalar) continue;
      load_tile(inputs_[i].view, 0, count, tile(static_cast<std::int32_t>(i)));
      pointers_[i] = tile(static_cast<std::int32_t>(i));
    }
  }

  void run_tile(std::int64_t at, std::int64_t count) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].access == Access::direct) pointers_[i] = element(inputs_[i].view, at);
      if (inputs_[i].access == Access::gathered) {
        load_tile(inputs_[i].view, at, count, tile(static_cast<std::int32_t>(i)));
        pointers_[i] = tile(static_cast<std::int32_t>(i));
      }
    }
    for (const ElementProgram::Step& step : program_.steps) {
      const void* arguments[3] = {pointers_[static_cast<std::size_t>(step.inputs[0])],
                                  pointers_[static_cast<std::size_t>(step.inputs[1])],
                                  pointers_[static_cast<std::size_t>(step.inputs[2])]};
      std::byte* target = destination(step.output, at);
      step.kernel(arguments, target, count);
      pointers_[static_cast<std::size_t>(step.output)] = target;
    }
    // An output that no step wrote in place: an input that is stored as it is, or one stored twice.
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto reg = static_cast<std::size_t>(program_.outputs[i]);
      std::byte* target = element(outputs_[i], at);
      if (pointers_[reg] != target)
        std::memcpy(target, pointers_[reg], static_cast<std::size_t>(count) * dtype_size(outputs_[i].dtype));
    }
  }

  // A register that is stored is computed where it is stored.
  std::byte* destination(std::int32_t reg, std::int64_t at) {
    for (std::size_t i = 0; i < program_.outputs.size(); ++i) {
      if (program_.outputs[i] == reg) return element(outputs_[i], at);
    }
    return tile(reg);
  }

  const ElementProgram& program_;
  std::span<const Operand> inputs_;
  std::span<const Array> outputs_;
  std::int64_t tile_elements_;
  const std::byte* pointers_[max_arrays] = {};
  alignas(64) std::byte scratch_[max_tiles * tile_bytes];
};

}  // namespace

void assign_tiles(ElementProgram& program) {
  const auto steps = static_cast<std::int32_t>(program.steps.size());
  std::vector<std::int32_t> last_use(program.registers.size(), -1);
  for (std::int32_t s = 0; s < steps; ++s) {
    const auto& step = program.steps[static_cast<std::size_t>(s)];
    for (int i = 0; i < step.input_count; ++i) last_use[static_cast<std::size_t>(step.inputs[i])] = s;
  }
  program.tiles.assign(program.registers.size(), -1);
  std::vector<std::int32_t> free_tiles;
  const auto take = [&] {
    if (free_tiles.empty()) return program.tile_count++;
    const std::int32_t tile = free_tiles.back();
    free_tiles.pop_back();
    return tile;
  };
  // Scalars are filled once for all tiles of a range: inputs keep their tiles to themselves.
  for (std::int32_t i = 0; i < program.input_count; ++i) program.tiles[static_cast<std::size_t>(i)] = take();
  const auto is_output = [&](std::int32_t reg) {
    return std::find(program.outputs.begin(), program.outputs.end(), reg) != program.outputs.end();
  };
  for (std::int32_t s = 0; s < steps; ++s) {
    const auto& step = program.steps[static_cast<std::size_t>(s)];
    if (!is_output(step.output)) program.tiles[static_cast<std::size_t>(step.output)] = take();
    for (int i = 0; i < step.input_count; ++i) {
      const std::int32_t reg = step.inputs[i];
      const bool repeated = std::find(step.inputs, step.inputs + i, reg) != step.inputs + i;
      if (reg >= program.input_count && last_use[static_cast<std::size_t>(reg)] == s && !is_output(reg) &&
          !repeated) {
        free_tiles.push_back(program.tiles[static_cast<std::size_t>(reg)]);
      }
    }
  }
}

void run_elementwise(const ElementProgram& program, std::span<const Array> inputs,
                     std::span<const Array> outputs) {
  const Shape& shape = outputs[0].shape;
  const std::int64_t count = outputs[0].size();
  if (count == 0) return;
  Operand operands[max_arrays];
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    operands[i].view = broadcast_view(inputs[i], shape);
    operands[i].access = access_of(operands[i].view);
  }
  std::size_t widest = 1;
  for (const DType dtype : program.registers) widest = std::max(widest, dtype_size(dtype));
  const std::int64_t tile_elements = tile_bytes / static_cast<std::int64_t>(widest);
  const std::span<const Operand> views(operands, inputs.size());
  parallel_for(
      count,
      std::max<std::int64_t>(tile_elements, grain / static_cast<std::int64_t>(program.steps.size() + 1) /
                                                tile_elements * tile_elements),
      [&](std::int64_t begin, std::int64_t end) {
        TileRunner(program, views, outputs, tile_elements).run(begin, end);
      });
}

}  // namespace chainrule::kernels
