#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <chainrule/context.hpp>
#include <chainrule/description.hpp>
#include <chainrule/tensor.hpp>

/// Initial values of weights, drawn from the context's random stream, in the dtype of its parameters (float32
/// without a policy). A weight is [fan_out, fan_in] or
/// [out, in, kernel..], where both fans are multiplied by the kernel's size. Assign them:
///
///     layer.weight = nn::init::kaiming_normal(layer.weight.shape());
///
/// Throws ShapeError for a shape without fans (rank below 2), ArgumentError for options outside their range.
namespace chainrule::nn::init {

/// Every initializer, by name.
CHAINRULE_API std::span<const Description> table();

/// The factor by which an activation shrinks the standard deviation of what passes it, undone: "linear",
/// "sigmoid", "tanh" (5/3), "relu" (√2), "leaky_relu" (√(2 / (1 + slope²))), "selu" (3/4). Throws
/// ArgumentError for another name.
CHAINRULE_API double gain(std::string_view activation, double negative_slope = 0.01);

struct Fans {
  std::int64_t in;
  std::int64_t out;
};
CHAINRULE_API Fans fans(const Shape& shape);

CHAINRULE_API Tensor constant(const Shape& shape, double value, DType dtype = Context::parameter_dtype());

struct XavierOptions {
  double gain = 1;
  DType dtype = Context::parameter_dtype();
};
/// Uniform on ±gain √(6 / (fan_in + fan_out)). Glorot and Bengio, AISTATS 2010.
CHAINRULE_API Tensor xavier_uniform(const Shape& shape, const XavierOptions& options = {});
/// Normal with standard deviation gain √(2 / (fan_in + fan_out)). Glorot and Bengio, AISTATS 2010.
CHAINRULE_API Tensor xavier_normal(const Shape& shape, const XavierOptions& options = {});

enum class FanMode : std::uint8_t {
  fan_in,  ///< keeps the variance of values on the way forward
  fan_out  ///< keeps the variance of gradients on the way back
};
struct KaimingOptions {
  double negative_slope = 0;  ///< of the leaky ReLU that follows; 0: ReLU
  FanMode mode = FanMode::fan_in;
  DType dtype = Context::parameter_dtype();
};
/// Uniform on ±gain √(3 / fan), gain = √(2 / (1 + slope²)). He et al., ICCV 2015.
CHAINRULE_API Tensor kaiming_uniform(const Shape& shape, const KaimingOptions& options = {});
/// Normal with standard deviation gain / √fan. He et al., ICCV 2015.
CHAINRULE_API Tensor kaiming_normal(const Shape& shape, const KaimingOptions& options = {});

/// Uniform on ±√(3 / fan_in). LeCun et al., Efficient BackProp, 1998.
CHAINRULE_API Tensor lecun_uniform(const Shape& shape, DType dtype = Context::parameter_dtype());
/// Normal with standard deviation 1 / √fan_in. LeCun et al., Efficient BackProp, 1998.
CHAINRULE_API Tensor lecun_normal(const Shape& shape, DType dtype = Context::parameter_dtype());

struct OrthogonalOptions {
  double gain = 1;
  DType dtype = Context::parameter_dtype();
};
/// gain times a matrix with orthonormal rows or columns, whichever are fewer, uniform among them: Q of the QR
/// decomposition of a normal matrix with R's diagonal positive. Saxe, McClelland and Ganguli, ICLR 2014.
CHAINRULE_API Tensor orthogonal(const Shape& shape, const OrthogonalOptions& options = {});

struct TruncatedNormalOptions {
  double mean = 0;
  double std = 1;
  double low = -2;  ///< in units of the values, as PyTorch's `a`
  double high = 2;
  DType dtype = Context::parameter_dtype();
};
/// Normal, given that it lies in [low, high]: inverts the distribution function at uniform numbers.
CHAINRULE_API Tensor truncated_normal(const Shape& shape, const TruncatedNormalOptions& options = {});

}  // namespace chainrule::nn::init
