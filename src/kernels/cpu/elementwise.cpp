#include "kernels/cpu/elementwise.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/cpu/copy.hpp"
#include "kernels/cpu/streaming.hpp"
#include "kernels/cpu/strided.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t tile_bytes = 4096;
constexpr std::int64_t cache_line = 64;

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
    streamed_ = is_streamed();
    // A single step reads as fast as memory gives: there the processor's own prefetching does more.
    const auto steps = static_cast<std::int64_t>(program_.steps.size());
    fetched_per_step_ = steps < 2 ? 0 : (tile_bytes / steps + cache_line - 1) / cache_line * cache_line;
    fill_kept(begin, std::min(tile_elements_, end - begin));
    for (std::int64_t at = begin; at < end; at += tile_elements_)
      run_tile(at, std::min(tile_elements_, end - at));
    if (streamed_) finish_streaming();
  }

 private:
  std::byte* tile(std::size_t reg) { return scratch_ + program_.tiles[reg] * tile_bytes; }

  // Filled once for all tiles of a range; numbers without a tile are read as they are.
  void fill_kept(std::int64_t begin, std::int64_t count) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!keeps_tile(program_.inputs[i])) continue;
      pointers_[i] = element(inputs_[i], 0);
      if (program_.tiles[i] < 0) continue;
      load_tile(inputs_[i], begin, count, tile(i));
      pointers_[i] = tile(i);
    }
  }

  // Whether the last step's result goes past the caches. In place its lines are there already.
  bool is_streamed() const {
    if (program_.steps.empty()) return false;
    const std::int32_t stored = program_.stored_as[static_cast<std::size_t>(program_.steps.back().output)];
    if (stored < 0) return false;
    const Array& output = outputs_[static_cast<std::size_t>(stored)];
    const auto bytes = output.size() * static_cast<std::int64_t>(dtype_size(output.dtype));
    const bool aligned =
        reinterpret_cast<std::uintptr_t>(output.data) % cache_line == 0 &&
        tile_elements_ * static_cast<std::int64_t>(dtype_size(output.dtype)) % cache_line == 0;
    const auto is_output = [&](const Array& input) { return input.data == output.data; };
    return bytes > streaming_bytes && aligned && std::none_of(inputs_.begin(), inputs_.end(), is_output);
  }

  // Copies a tile past the caches. Between its lines are fetched those that a single step reads next: alone,
  // the writes would leave memory idle while they are gathered.
  void stream(const std::byte* from, std::byte* to, std::int64_t bytes, std::int64_t next) const {
    const std::byte* fetched[most_element_inputs];
    std::size_t count = 0;
    for (std::size_t i = 0; i < inputs_.size() && next < end_ && program_.steps.size() == 1; ++i) {
      if (program_.inputs[i] == ElementAccess::direct) fetched[count++] = element(inputs_[i], next);
    }
    for (; bytes >= cache_line; bytes -= cache_line, from += cache_line, to += cache_line) {
      for (std::size_t i = 0; i < count; ++i) {
        __builtin_prefetch(fetched[i]);
        fetched[i] += cache_line;
      }
      store_line(from, to, true);
    }
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }

  // A step's share of what the next tile reads in place. A tile is about as long as a page, across which the
  // processor itself does not look ahead.
  std::int64_t fetch_ahead(std::int64_t next, std::int64_t from) {
    if (next >= end_) return from;
    const std::int64_t to = std::min(tile_bytes, from + fetched_per_step_);
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (program_.inputs[i] != ElementAccess::direct) continue;
      const std::byte* const start = element(inputs_[i], next);
      const auto bytes =
          std::min(to, tile_elements_ * static_cast<std::int64_t>(dtype_size(inputs_[i].dtype)));
      for (std::int64_t b = from; b < bytes; b += cache_line) __builtin_prefetch(start + b);
    }
    return to;
  }

  void compute(const ElementProgram::Step& step, std::byte* target, std::int64_t count) const {
    const void* arguments[most_chain_steps];
    for (std::size_t i = 0; i < step.inputs.size(); ++i)
      arguments[i] = pointers_[static_cast<std::size_t>(step.inputs[i])];
    if (step.links.empty()) {
      step.kernel(arguments, target, count);
      return;
    }
    ChainStep chain[most_chain_steps];
    const std::size_t links = step.links.size();
    for (std::size_t i = 0; i < links; ++i) {
      const auto& [code, kind, input] = step.links[i];
      chain[i] = {code, kind, arguments[input]};
    }
    chain[links] = {.code = step.chain.store};
    step.chain.run(arguments[0], {chain, links + 1}, target, count);
  }

  void run_tile(std::int64_t at, std::int64_t count) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (program_.inputs[i] == ElementAccess::direct) pointers_[i] = element(inputs_[i], at);
    }
    std::int64_t fetched = 0;
    for (const ElementProgram::Step& step : program_.steps) {
      fetched = fetch_ahead(at + tile_elements_, fetched);
      const auto reg = static_cast<std::size_t>(step.output);
      if (step.inputs.empty()) {
        load_tile(inputs_[reg], at, count, tile(reg));
        pointers_[reg] = tile(reg);
        continue;
      }
      const std::int32_t stored = program_.stored_as[reg];
      std::byte* target = stored >= 0 ? element(outputs_[static_cast<std::size_t>(stored)], at) : tile(reg);
      if (streamed_ && &step == &program_.steps.back()) {
        compute(step, staging_, count);
        const auto bytes = count * static_cast<std::int64_t>(dtype_size(program_.registers[reg]));
        stream(staging_, target, bytes, at + tile_elements_);
      } else {
        compute(step, target, count);
      }
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
  bool streamed_ = false;
  const std::byte* pointers_[most_element_registers] = {};
  alignas(64) std::byte staging_[tile_bytes];
  alignas(64) std::byte scratch_[most_element_tiles * tile_bytes];
};

// Joins steps to chains.
class Chainer {
 public:
  explicit Chainer(const ElementProgram& program) : program_(program), uses_(program.registers.size(), 0) {
    for (const auto& step : program.steps) {
      for (const std::int32_t reg : step.inputs) ++uses_[static_cast<std::size_t>(reg)];
    }
    for (const std::int32_t reg : program.outputs) ++uses_[static_cast<std::size_t>(reg)];
  }

  // Only neighbours: the result of a step between two others might take the place of what the first one
  // reads.
  std::vector<ElementProgram::Step> joined() const {
    std::vector<ElementProgram::Step> steps;
    for (const auto& step : program_.steps) {
      if (steps.empty() || !is_only_reader(step, steps.back().output) || !join(steps.back(), step))
        steps.push_back(step);
    }
    return steps;
  }

 private:
  bool is_only_reader(const ElementProgram::Step& step, std::int32_t reg) const {
    const std::int64_t uses = uses_[static_cast<std::size_t>(reg)];
    return uses > 0 && std::count(step.inputs.begin(), step.inputs.end(), reg) == uses;
  }
  bool is_number(std::int32_t reg) const {
    const auto at = static_cast<std::size_t>(reg);
    return at < program_.inputs.size() && program_.inputs[at] == ElementAccess::scalar;
  }

  // False where no chain does both.
  bool join(ElementProgram::Step& before, const ElementProgram::Step& step) const {
    if (!before.links.empty()) return extend(before, step);
    const std::int32_t first =
        is_number(before.inputs.front()) ? before.inputs.back() : before.inputs.front();
    const DType dtype = program_.registers[static_cast<std::size_t>(first)];
    if (!is_floating(dtype)) return false;
    ElementProgram::Step chain{.inputs = {first}, .output = first, .chain = find_chain(dtype)};
    if (!extend(chain, before) || !extend(chain, step)) return false;
    before = std::move(chain);
    return true;
  }

  // Appends the step if it takes the chain's value and its kernel is a link.
  bool extend(ElementProgram::Step& chain, const ElementProgram::Step& step) const {
    if (step.inputs.size() > 2 || chain.links.size() + 2 > most_chain_steps) return false;
    const std::int32_t a = step.inputs.front();
    const std::int32_t b = step.inputs.back();
    ChainValue value = ChainValue::all;
    if (a != b) value = a == chain.output ? ChainValue::first : ChainValue::second;
    const std::int32_t other = value == ChainValue::first ? b : a;
    ElementProgram::Link link;
    if (value != ChainValue::all) link.kind = is_number(other) ? ChainOperand::number : ChainOperand::array;
    link.code = find_chain_code(step.kernel, value, link.kind);
    if (link.code == nullptr) return false;
    if (value != ChainValue::all) {
      link.input = chain.inputs.size();
      chain.inputs.push_back(other);
    }
    chain.links.push_back(link);
    chain.output = step.output;
    return true;
  }

  const ElementProgram& program_;
  std::vector<std::int64_t> uses_;  // per register
};

// Per register: whether somebody reads it as an array, so that a scalar needs a tile.
std::vector<bool> read_as_arrays(const ElementProgram& program) {
  std::vector<bool> read(program.registers.size(), false);
  const auto mark = [&](std::int32_t reg) { read[static_cast<std::size_t>(reg)] = true; };
  for (const auto& step : program.steps) {
    if (!step.links.empty()) {
      mark(step.inputs.front());
      continue;
    }
    for (const std::int32_t reg : step.inputs) mark(reg);
  }
  for (const std::int32_t reg : program.outputs) mark(reg);
  return read;
}

// The registers that still have to be stored when all steps are done live until then.
std::vector<std::int32_t> last_uses(const ElementProgram& program) {
  const auto steps = static_cast<std::int32_t>(program.steps.size());
  std::vector<std::int32_t> last(program.registers.size(), -1);
  for (std::int32_t s = 0; s < steps; ++s) {
    const auto& step = program.steps[static_cast<std::size_t>(s)];
    for (const std::int32_t reg : step.inputs) last[static_cast<std::size_t>(reg)] = s;
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
    for (const std::int32_t reg : step.inputs) load(reg);
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
  const std::vector<bool> read = read_as_arrays(program);
  std::vector<bool> keeps(program.registers.size(), false);
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    keeps[i] = keeps_tile(program.inputs[i]) && (read[i] || program.inputs[i] != ElementAccess::scalar);
    if (keeps[i]) take(static_cast<std::int32_t>(i));
  }
  for (std::size_t s = 0; s < program.steps.size(); ++s) {
    const auto& step = program.steps[s];
    if (program.stored_as[static_cast<std::size_t>(step.output)] < 0) take(step.output);
    for (auto input = step.inputs.begin(); input != step.inputs.end(); ++input) {
      const auto reg = static_cast<std::size_t>(*input);
      const bool repeated = std::find(step.inputs.begin(), input, *input) != input;
      if (!repeated && !keeps[reg] && program.tiles[reg] >= 0 && last[reg] == static_cast<std::int32_t>(s))
        free_tiles.push_back(program.tiles[reg]);
    }
  }
  return program.tile_count <= most_element_tiles && program.inputs.size() <= most_element_inputs &&
         program.registers.size() <= most_element_registers;
}

// Nanoseconds per element of a float32 kernel that finds its operands in the first cache level: one that is a
// link of chains does next to nothing, one that does not round its result exactly evaluates polynomials.
double kernel_nanoseconds(LaneKernel kernel) {
  const auto is_kernel = [kernel](const auto& entry) { return entry.kernel == kernel; };
  const auto links = chain_links();
  if (std::any_of(links.begin(), links.end(), is_kernel)) return 0.03;
  const auto lanes = lane_kernels();
  const auto entry = std::find_if(lanes.begin(), lanes.end(), is_kernel);
  return entry != lanes.end() && entry->max_ulp > 0.5 ? 0.4 : 0.2;
}

// From the steps as they are before they are joined to chains.
void choose_grain(ElementProgram& program) {
  constexpr double nanoseconds_per_byte = 0.015;  // from and to the second cache level
  const auto bytes = [&](std::size_t reg) { return static_cast<double>(dtype_size(program.registers[reg])); };
  double nanoseconds = 0;
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    if (program.inputs[i] == ElementAccess::direct) nanoseconds += nanoseconds_per_byte * bytes(i);
    if (program.inputs[i] == ElementAccess::gathered) nanoseconds += 0.2;
  }
  for (const auto& step : program.steps) {
    const auto reg = static_cast<std::size_t>(step.output);
    nanoseconds += kernel_nanoseconds(step.kernel) * std::max(1.0, bytes(reg) / sizeof(float));
  }
  for (const std::int32_t reg : program.outputs) {
    nanoseconds += nanoseconds_per_byte * bytes(static_cast<std::size_t>(reg));
  }
  const std::int64_t tile = program.tile_elements;
  program.grain = std::max(tile, items_worth_a_thread(nanoseconds) / tile * tile);
}

}  // namespace

bool assign_tiles(ElementProgram& program) {
  choose_tile_length(program);
  choose_grain(program);
  const std::vector<ElementProgram::Step> steps = Chainer(program).joined();
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
  const std::span<const Array> views(operands, inputs.size());
  parallel_for(count, program.grain, [&](std::int64_t begin, std::int64_t end) {
    TileRunner(program, views, outputs).run(begin, end);
  });
}

}  // namespace chainrule::kernels
