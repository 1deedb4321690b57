#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <chainrule/tensor.hpp>

/// Derivatives against differences of values. Nothing here uses a rule to test a rule: the expected numbers
/// come from evaluating the function alone.
namespace chainrule {

struct GradientCheckOptions {
  int order = 2;             ///< 1: first derivatives; 2: the derivatives of those too
  int directions = 1;        ///< random directions per input
  double step = 1e-3;        ///< h of the differences, whose error is of order h⁴
  double tolerance = 1e-6;   ///< of |expected − got| / max(1, |expected|)
  std::uint64_t seed = 0;    ///< of the directions
  bool forward_mode = true;  ///< false where f has a reverse derivative only (custom_vjp)
};

/// One disagreement.
struct GradientMismatch {
  std::string derivative;  ///< "jvp", "vjp", "vjp of vjp", …; "jvp = vjp" for ⟨w, J v⟩ = ⟨Jᵀ w, v⟩
  std::size_t input = 0;   ///< which input was moved
  int direction = 0;       ///< along which of its random directions
  double expected = 0;     ///< by central differences
  double got = 0;          ///< by the derivative's rules
};

struct GradientCheck {
  int cases = 0;           ///< comparisons made
  double worst_error = 0;  ///< the largest |expected − got| / max(1, |expected|)
  std::vector<GradientMismatch> failures;

  bool ok() const { return failures.empty(); }
};

/// "vjp of input 1 along direction 0: expected 2.5, got 0".
CHAINRULE_API std::string to_string(const GradientMismatch& mismatch);

/// Compares jvp and vjp of f at `inputs` with central differences along random directions, and with each
/// other. Floating inputs are computed in float64, and so should f compute; other inputs and outputs are left
/// alone. Choose inputs at a distance of a few steps from points where f has no derivative.
///
/// Throws what f throws.
CHAINRULE_API GradientCheck
check_gradients(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& f,
                const std::vector<Tensor>& inputs, const GradientCheckOptions& options = {});
CHAINRULE_API GradientCheck check_gradients(const std::function<Tensor(const Tensor&)>& f, const Tensor& x,
                                            const GradientCheckOptions& options = {});

/// What the checks of one op found.
struct OpCheck {
  std::string name;
  bool differentiable = false;
  int cases = 0;
  double worst_gradient_error = 0;    ///< as in GradientCheck, over all cases
  double worst_forward_error = 0;     ///< float32 values in units in the last place of the exact ones
  std::vector<std::string> failures;  ///< one sentence each
};

/// Runs every op of the registry on its own samples: values against the declared formula in float32 and
/// float64, float32 against float64 within the declared bound, the kernel against the definition, derivatives to second order against differences, batches
/// against loops.
CHAINRULE_API std::vector<OpCheck> check_registry(const GradientCheckOptions& options = {});
/// The same for one op. Throws ArgumentError for an unknown name.
CHAINRULE_API OpCheck check_op(const std::string& name, const GradientCheckOptions& options = {});

}  // namespace chainrule
