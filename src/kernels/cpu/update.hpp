#pragma once

#include <cstdint>

/// Optimizer steps, fused: one pass over a contiguous range of parameters and their state, in place.
/// Ranges must not overlap; any n, no alignment beyond the elements'. n <= 0 does nothing.
namespace chainrule::kernels {

/// With t the number of the step, counted from 1.
struct AdamConstants {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  ///< AdamW: decoupled from the gradient
  double l2 = 0;            ///< Adam: added to the gradient
  double bias1 = 1;         ///< 1 - beta1^t
  double bias2 = 1;         ///< 1 - beta2^t
};

/// One step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), in the order of PyTorch's:
///   p <- p (1 - lr weight_decay);  g <- g + l2 p
///   m <- m + (1 - beta1)(g - m);   v <- beta2 v + (1 - beta2) g^2
///   p <- p - (lr / bias1) m / (sqrt(v) / sqrt(bias2) + eps)
void adam_update(float* p, float* m, float* v, const float* g, std::int64_t n, const AdamConstants& c);
void adam_update(double* p, double* m, double* v, const double* g, std::int64_t n, const AdamConstants& c);

struct SgdConstants {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double l2 = 0;
  bool nesterov = false;
  bool first = false;  ///< The first step: the velocity is the gradient itself.
};

/// One step of SGD with momentum, in PyTorch's order; `velocity` is null where momentum is 0.
///   g <- g + l2 p;  u <- momentum u + (1 - dampening) g;  p <- p - lr (nesterov ? g + momentum u : u)
void sgd_update(float* p, float* velocity, const float* g, std::int64_t n, const SgdConstants& c);
void sgd_update(double* p, double* velocity, const double* g, std::int64_t n, const SgdConstants& c);

}  // namespace chainrule::kernels
