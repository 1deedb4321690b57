#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <chainrule/description.hpp>
#include <chainrule/optim/optimizer.hpp>

/// The optimizers. g is the gradient, p the parameter, λ the weight decay, t the number of the update.
/// Defaults and formulas are PyTorch's, but that a group has a factor of the learning rate (`lr_multiplier`)
/// in place of a rate, and that the mean m of a gradient becomes 0 where it would be subnormal, in Adam and
/// AdamW without amsgrad also where the Context keeps such numbers. Throws ArgumentError for options outside
/// their range.
namespace chainrule::optim {

/// Every optimizer, by name. Formulas give the parameter's new value after the first step, when its state is
/// zero.
CHAINRULE_API std::span<const Description> table();

struct SGDOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  ///< λ: g + λ p in place of g
  bool nesterov = false;    ///< needs a momentum and no dampening
  bool maximize = false;
  std::vector<ParameterGroup> groups = {};
};

/// Stochastic gradient descent:  b ← μ b + (1 − τ) g (b = g at first),  p ← p − lr · b;  Nesterov takes g + μ
/// b. Sutskever et al., On the importance of initialization and momentum in deep learning, ICML 2013.
class CHAINRULE_API SGD : public detail::Named<SGD> {
 public:
  static constexpr std::string_view type_name = "SGD";
  explicit SGD(const SGDOptions& options = {});

 protected:
  std::span<const std::string_view> state_names() const override;
  Tensor step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
              const Step& now) const override;
  void visit_options(Visitor& v) override;

 private:
  SGDOptions options_;
};

struct GradientDescentOptions {
  double lr = 1e-2;
};

/// Gradient descent on the whole data set:  p ← p − lr · g.
/// Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées, 1847.
class CHAINRULE_API GradientDescent : public detail::Named<GradientDescent> {
 public:
  static constexpr std::string_view type_name = "GradientDescent";
  explicit GradientDescent(const GradientDescentOptions& options = {});

 protected:
  std::span<const std::string_view> state_names() const override { return {}; }
  Tensor step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
              const Step& now) const override;
  void visit_options(Visitor&) override {}
};

struct RMSPropOptions {
  double lr = 1e-2;
  double alpha = 0.99;
  double eps = 1e-8;
  double weight_decay = 0;  ///< λ: g + λ p in place of g
  double momentum = 0;
  bool centered = false;  ///< subtracts the squared average of g from the average of g²
  bool maximize = false;
  std::vector<ParameterGroup> groups = {};
};

/// s ← α s + (1 − α) g²,  p ← p − lr · g / (√s + eps), with momentum over the quotient if asked for.
/// Hinton, Neural networks for machine learning, lecture 6e, 2012.
class CHAINRULE_API RMSProp : public detail::Named<RMSProp> {
 public:
  static constexpr std::string_view type_name = "RMSProp";
  explicit RMSProp(const RMSPropOptions& options = {});

 protected:
  std::span<const std::string_view> state_names() const override;
  Tensor step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
              const Step& now) const override;
  void visit_options(Visitor& v) override;

 private:
  RMSPropOptions options_;
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  ///< λ: Adam takes g + λ p in place of g (L2), AdamW shrinks p by lr · λ
  bool amsgrad = false;     ///< divides by the largest √v so far (Reddi, Kale and Kumar, ICLR 2018)
  bool maximize = false;
  std::vector<ParameterGroup> groups = {};
};

/// m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  p ← p − lr · m̂ / (√v̂ + eps) with m̂ = m / (1 − β₁ᵗ) and
/// v̂ = v / (1 − β₂ᵗ). t counts the optimizer's updates; a parameter that is unfrozen later joins at its t.
/// Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.
class CHAINRULE_API Adam : public detail::Named<Adam> {
 public:
  static constexpr std::string_view type_name = "Adam";
  explicit Adam(const AdamOptions& options = {});

 protected:
  std::span<const std::string_view> state_names() const override;
  Tensor step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
              const Step& now) const override;
  void visit_options(Visitor& v) override;

 private:
  AdamOptions options_;
};

struct AdamWOptions {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;  ///< λ: p shrinks by lr · λ, apart from the gradient
  bool amsgrad = false;
  bool maximize = false;
  std::vector<ParameterGroup> groups = {};
};

/// Adam with decoupled weight decay:  p ← (1 − lr · λ) p − lr · m̂ / (√v̂ + eps).
/// Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
class CHAINRULE_API AdamW : public detail::Named<AdamW> {
 public:
  static constexpr std::string_view type_name = "AdamW";
  explicit AdamW(const AdamWOptions& options = {});

 protected:
  std::span<const std::string_view> state_names() const override;
  Tensor step(const Tensor& parameter, const Tensor& gradient, ParameterState& state,
              const Step& now) const override;
  void visit_options(Visitor& v) override;

 private:
  AdamOptions options_;
};

}  // namespace chainrule::optim
