#pragma once

#include <span>
#include <string>
#include <vector>

#include <chainrule/compile.hpp>

#include "graph/node.hpp"

/// What `compile` checks when it traces, and what it tells the log.
namespace chainrule {

/// What one trace was made for.
struct CallSpecs {
  struct Leaf {
    std::string path;
    const Tensor* tensor = nullptr;  ///< told apart by address only
    TensorSpec spec;
  };
  std::vector<Leaf> state;
  std::vector<Leaf> arguments;
};
CallSpecs specs_of(const detail::CompiledCall& call);

/// Throws StateError, with its path, for a tensor that the state names twice.
void check_leaves_once(const CallSpecs& specs);

/// Throws for a new state that is undefined (StateError), or that has another shape (ShapeError) or dtype
/// (DTypeError) than the old one, whose memory it is to take over. `before` is empty where the state grew.
void check_new_state(std::span<const Tensor> before, std::span<const Tensor> after,
                     std::span<const std::string> paths);

/// Throws StateError for a step that returned an undefined tensor.
void check_results(std::span<const Tensor> results);

/// "a compiled step was traced 8 times, now because argument 0: axis 0 was 7, is 8; …"
std::string retrace_text(int traces, const CallSpecs& before, const CallSpecs& now);

/// "compile: captured a constant, float32 [784, 256], 802816 bytes, read by matmul at Sequential[1].Linear".
std::string captured_text(const Tensor& constant, std::span<const Tensor> outputs);

}  // namespace chainrule
