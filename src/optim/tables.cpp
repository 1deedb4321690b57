// What optimizers and schedules say about themselves. A test reads the formulas and compares them with the
// code.

#include <chainrule/optim/optimizers.hpp>
#include <chainrule/optim/schedules.hpp>

namespace chainrule::optim {
namespace {

constexpr Description optimizers[] = {
    {"Adam", "p - lr g / (abs(g) + eps)",
     "Divides the running mean of the gradient by the root of that of its square, both corrected for their "
     "start at "
     "zero.",
     "Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015"},
    {"AdamW", "(1 - lr weight_decay) p - lr g / (abs(g) + eps)",
     "Adam with a weight decay that the gradient's scale does not touch.",
     "Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019"},
    {"GradientDescent", "p - lr g", "Steps against the gradient of the whole data set.",
     "Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées, 1847"},
    {"RMSProp", "p - lr g / (sqrt((1 - alpha) g^2) + eps)",
     "Divides the gradient by the root of the running mean of its square.",
     "Hinton, Neural networks for machine learning, lecture 6e, 2012"},
    {"SGD", "p - lr (g + weight_decay p)",
     "Steps against the gradient of a batch, with a momentum if asked for.",
     "Robbins and Monro, A stochastic approximation method, Annals of Mathematical Statistics 22, 1951"},
};

constexpr Description schedules[] = {
    {"Constant", "1", "No change.", ""},
    {"Cosine", "end + (1 - end) (1 + cos(pi step / steps)) / 2", "Down to the end along half a cosine.",
     "Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017"},
    {"Exponential", "gamma^step", "A constant factor per step.", ""},
    {"LinearRamp", "start + (end - start) step / steps", "A straight line.", ""},
    {"OneCycle", "", "Up to 1 and down again, along two half cosines.",
     "Smith and Topin, Super-convergence, 2018"},
    {"ReduceOnPlateau", "", "Lowered when a metric has stopped getting better.", ""},
    {"StepDecay", "gamma^floor(step / size)", "A constant factor every so many steps.", ""},
    {"Warmup", "start + (1 - start) step / steps", "A straight line up to 1, then another schedule.",
     "Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour, 2017"},
};

}  // namespace

std::span<const Description> table() { return optimizers; }
std::span<const Description> schedule_table() { return schedules; }

}  // namespace chainrule::optim
