#pragma once

#include <cstdint>

/// Optimizer steps, fused: one pass over a contiguous range of parameters and their state.
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

/// A parameter with the running means of its gradient and of its square.
template <class T>
struct AdamState {
  T* p = nullptr;
  T* m = nullptr;
  T* v = nullptr;
};

/// One step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), in the order of PyTorch's:
///   p <- p (1 - lr weight_decay);  g <- g + l2 p
///   m <- m + (1 - beta1)(g - m);   v <- beta2 v + (1 - beta2) g^2
///   (an m whose magnitude is below the smallest normal number becomes 0)
///   p <- p - (lr / bias1) m / (sqrt(v) / sqrt(bias2) + eps)
/// `next` may be `old`; ranges must not overlap otherwise. Any n, no alignment beyond the elements'. n <= 0
/// does nothing.
void adam_update(const AdamState<const float>& old, const float* g, std::int64_t n, const AdamConstants& c,
                 const AdamState<float>& next);
void adam_update(const AdamState<const double>& old, const double* g, std::int64_t n, const AdamConstants& c,
                 const AdamState<double>& next);

}  // namespace chainrule::kernels
