#include "kernels/cpu/elementwise.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t tile_bytes = 4096;
// Work below this many elements is not worth waking a thread for.
constexpr std::int64_t grain = 16384;

Array broadcast_view(const Array& array, const Shape& shape) {
  Array view{array.data, array.dtype, shape, Dims::filled(shape.size(), 0)};
  const int extra = shape.size() - array.shape.size();
  for (int i = extra; i < shape.size(); ++i) {
    if (array.shape[i - extra] != 1) view.strides[i] = array.strides[i - extra];
  }
  return view;
}

std::byte* element(const Array& array, std::int64_t index) {
  return static_cast<std::byte*>(array.data) + index * static_cast<std::int64_t>(dtype_size(array.dtype));
}

// Filled once for all tiles of a range, and so never handed on.
bool keeps_tile(ElementAccess access) {
  return access == ElementAccess::scalar || access == ElementAccess::repeated;
}

class TileRunner {
 public:
  TileRunner(const ElementProgram& program, std::span<const Array> inputs, std::span<const Array> outputs)
      : program_(program), inputs_(inputs), outputs_(outputs), tile_elements_(program.tile_elements) {}

  void run(std::int64_t begin, std::int64_t end) {
    end_ = end;
    const auto steps = static_cast<std::int64_t>(program_.steps.size());
    fetched_per_step_ = (tile_bytes / std::max<std::int64_t>(steps, 1) + 63) / 64 * 64;
    fill_kept(begin, std::min(tile_elements_, end - begin));
    for (std::int64_t at = begin; at < end; at += tile_elements_)
      run_tile(at, std::min(tile_elements_, end - at));
  }

 private:
  std::byte* tile(std::size_t reg) { return scratch_ + program_.tiles[reg] * tile_bytes; }

  // Filled once for all tiles of a range.
  void fill_kept(std::int64_t begin, std::int64_t count) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!keeps_tile(program_.inputs[i])) continue;
      load_tile(inputs_[i], begin, count, tile(i));
      pointers_[i] = tile(i);
    }
  }

  // A step's share of what the next tile reads in place. A tile is about as long as a page, across which the
  // processor itself does not look ahead.
  std::int64_t fetch_ahead(std::int64_t next, std::int64_t from) {
    constexpr std::int64_t line = 64;
    if (next >= end_) return from;
    const std::int64_t to = std::min(tile_bytes, from + fetched_per_step_);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (program_.inputs[i] != ElementAccess::direct) continue;
      const std::byte* const start = element(inputs_[i], next);
      const auto bytes =
          std::min(to, tile_elements_ * static_cast<std::int64_t>(dtype_size(inputs_[i].dtype)));
      for (std::int64_t b = from; b < bytes; b += line) __builtin_prefetch(start + b);
    }
    return to;
  }

  void run_tile(std::int64_t at, std::int64_t count) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (program_.inputs[i] == ElementAccess::direct) pointers_[i] = element(inputs_[i], at);
    }
    std::int64_t fetched = 0;
    for (const ElementProgram::Step& step : program_.steps) {
      fetched = fetch_ahead(at + tile_elements_, fetched);
      const auto reg = static_cast<std::size_t>(step.output);
      if (step.kernel == nullptr) {
        load_tile(inputs_[reg], at, count, tile(reg));
        pointers_[reg] = tile(reg);
        continue;
      }
      const void* arguments[3] = {pointers_[static_cast<std::size_t>(step.inputs[0])],
                                  pointers_[static_cast<std::size_t>(step.inputs[1])],
                                  pointers_[static_cast<std::size_t>(step.inputs[2])]};
      const std::int32_t stored = program_.stored_as[reg];
      std::byte* target = stored >= 0 ? element(outputs_[static_cast<std::size_t>(stored)], at) : tile(reg);
      step.kernel(arguments, target, count);
      pointers_[reg] = target;
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (!program_.stored_late[i]) continue;
      const auto reg = static_cast<std::size_t>(program_.outputs[i]);
      std::memcpy(element(outputs_[i], at), pointers_[reg],
                  static_cast<std::size_t>(count) * dtype_size(outputs_[i].dtype));
    }
  }

  const ElementProgram& program_;
  std::span<const Array> inputs_;  // broadcast to the iteration shape, with as few axes as possible
  std::span<const Array> outputs_;
  std::int64_t tile_elements_;
  std::int64_t end_ = 0;
  std::int64_t fetched_per_step_ = 0;
  const std::byte* pointers_[most_element_registers] = {};
  alignas(64) std::byte scratch_[most_element_tiles * tile_bytes];
};

// Joins a step and the one right after it, which alone reads its result, where one pass can do both. With
// another step between them, that one's result might take the place of what the first one reads.
std::vector<ElementProgram::Step> with_pairs(const ElementProgram& program) {
  std::vector<int> uses(program.registers.size(), 0);
  for (const auto& step : program.steps) {
    for (int i = 0; i < step.input_count; ++i) ++uses[static_cast<std::size_t>(step.inputs[i])];
  }
  for (const std::int32_t reg : program.outputs) ++uses[static_cast<std::size_t>(reg)];
  std::vector<ElementProgram::Step> steps;
  for (ElementProgram::Step step : program.steps) {
    for (int i = 0; i < 2 && step.input_count == 2 && !steps.empty(); ++i) {
      const auto& before = steps.back();
      if (before.input_count != 2 || before.output != step.inputs[i]) continue;
      if (uses[static_cast<std::size_t>(before.output)] != 1) continue;
      const LaneKernel both = find_pair_kernel(before.kernel, step.kernel, i == 1);
      if (both == nullptr) continue;
      step = {both, {before.inputs[0], before.inputs[1], step.inputs[1 - i]}, 3, step.output};
      steps.pop_back();
    }
    steps.push_back(step);
  }
  return steps;
}

// The registers that still have to be stored when all steps are done live until then.
std::vector<std::int32_t> last_uses(const ElementProgram& program) {
  const auto steps = static_cast<std::int32_t>(program.steps.size());
  std::vector<std::int32_t> last(program.registers.size(), -1);
  for (std::int32_t s = 0; s < steps; ++s) {
    const auto& step = program.steps[static_cast<std::size_t>(s)];
    for (int i = 0; i < step.input_count; ++i) last[static_cast<std::size_t>(step.inputs[i])] = s;
  }
  for (std::size_t i = 0; i < program.outputs.size(); ++i) {
    if (program.stored_late[i]) last[static_cast<std::size_t>(program.outputs[i])] = steps;
  }
  return last;
}

// The steps with the load of each gathered input before its first use.
std::vector<ElementProgram::Step> with_loads(const ElementProgram& program) {
  std::vector<ElementProgram::Step> steps;
  std::vector<bool> loaded(program.inputs.size(), false);
  const auto load = [&](std::int32_t reg) {
    const auto at = static_cast<std::size_t>(reg);
    if (at >= loaded.size() || program.inputs[at] != ElementAccess::gathered || loaded[at]) return;
    loaded[at] = true;
    steps.push_back({.output = reg});
  };
  for (const auto& step : program.steps) {
    for (int i = 0; i < step.input_count; ++i) load(step.inputs[i]);
    steps.push_back(step);
  }
  for (const std::int32_t reg : program.outputs) load(reg);
  return steps;
}

}  // namespace

ElementAccess access_of(const Array& input, const Shape& shape) {
  const Array view = broadcast_view(input, shape);
  bool all_zero = true;
  bool dense = true;
  std::int64_t expected = 1;
  for (int i = view.shape.size() - 1; i >= 0; --i) {
    if (view.shape[i] == 1) continue;
    all_zero = all_zero && view.strides[i] == 0;
    dense = dense && view.strides[i] == expected;
    expected *= view.shape[i];
  }
  if (dense) return ElementAccess::direct;
  return all_zero ? ElementAccess::scalar : ElementAccess::gathered;
}

std::int64_t period_of(const Array& input, const Shape& shape) {
  const Array view = collapsed(broadcast_view(input, shape));
  if (view.shape.empty() || view.strides[0] != 0 || view.shape[0] == 0) return 0;
  return view.size() / view.shape[0];
}

namespace {

// A tile is as long as fits, or a little shorter: a whole number of lines, and of the periods of as many
// inputs as that allows.
void choose_tile_length(ElementProgram& program) {
  std::size_t widest = 1;
  for (const DType dtype : program.registers) widest = std::max(widest, dtype_size(dtype));
  const std::int64_t most = tile_bytes / static_cast<std::int64_t>(widest);
  std::int64_t unit = 64 / static_cast<std::int64_t>(widest);
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    if (program.inputs[i] != ElementAccess::gathered || program.periods[i] == 0 || program.periods[i] > most)
      continue;
    const std::int64_t both = std::lcm(unit, program.periods[i]);
    if (both > most || most / both * both * 4 < most * 3) continue;
    unit = both;
    program.inputs[i] = ElementAccess::repeated;
  }
  program.tile_elements = most / unit * unit;
}

bool place_registers(ElementProgram& program) {
  const std::vector<std::int32_t> last = last_uses(program);
  program.tile_count = 0;
  program.tiles.assign(program.registers.size(), -1);
  program.stored_as.assign(program.registers.size(), -1);
  for (std::size_t i = 0; i < program.outputs.size(); ++i) {
    if (!program.stored_late[i])
      program.stored_as[static_cast<std::size_t>(program.outputs[i])] = static_cast<std::int32_t>(i);
  }
  std::vector<std::int32_t> free_tiles;
  const auto take = [&](std::int32_t reg) {
    std::int32_t& tile = program.tiles[static_cast<std::size_t>(reg)];
    tile = free_tiles.empty() ? program.tile_count++ : free_tiles.back();
    if (!free_tiles.empty()) free_tiles.pop_back();
  };
  std::vector<bool> keeps(program.registers.size(), false);
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    keeps[i] = keeps_tile(program.inputs[i]);
    if (keeps[i]) take(static_cast<std::int32_t>(i));
  }
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const auto& step = program.steps[s];
    if (program.stored_as[static_cast<std::size_t>(step.output)] < 0) take(step.output);
    for (int i = 0; i < step.input_count; ++i) {
      const auto reg = static_cast<std::size_t>(step.inputs[i]);
      const bool repeated = std::find(step.inputs, step.inputs + i, step.inputs[i]) != step.inputs + i;
      if (!repeated && !keeps[reg] && program.tiles[reg] >= 0 && last[reg] == static_cast<std::int32_t>(s))
        free_tiles.push_back(program.tiles[reg]);
    }
  }
  return program.tile_count <= most_element_tiles && program.inputs.size() <= most_element_inputs &&
         program.registers.size() <= most_element_registers;
}

}  // namespace

bool assign_tiles(ElementProgram& program) {
  choose_tile_length(program);
  const std::vector<ElementProgram::Step> steps = with_pairs(program);
  program.steps = steps;
  program.steps = with_loads(program);
  if (place_registers(program)) return true;
  // Tiles that are kept are tiles that others can't have.
  for (ElementAccess& access : program.inputs) {
    if (access == ElementAccess::repeated) access = ElementAccess::gathered;
  }
  program.steps = steps;
  program.steps = with_loads(program);
  return place_registers(program);
}

void run_elementwise(const ElementProgram& program, std::span<const Array> inputs,
                     std::span<const Array> outputs) {
  const Shape& shape = outputs[0].shape;
  const std::int64_t count = outputs[0].size();
  if (count == 0) return;
  Array operands[most_element_inputs];
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool in_place = program.inputs[i] == ElementAccess::direct;
    operands[i] = in_place ? inputs[i] : collapsed(broadcast_view(inputs[i], shape));
  }
  const std::int64_t tile_elements = program.tile_elements;
  const std::span<const Array> views(operands, inputs.size());
  parallel_for(
      count,
      std::max<std::int64_t>(tile_elements, grain / static_cast<std::int64_t>(program.steps.size() + 1) /
                                                tile_elements * tile_elements),
      [&](std::int64_t begin, std::int64_t end) { TileRunner(program, views, outputs).run(begin, end); });
}

}  // namespace chainrule::kernels
