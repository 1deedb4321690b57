// What the losses say about themselves. A test reads the formulas and compares them with the losses.

#include <chainrule/nn/losses.hpp>

namespace chainrule::nn {
namespace {

constexpr Description descriptions[] = {
    {"binary_cross_entropy", "-(t log(y) + (1 - t) log(1 - y))",
     "The negative log-likelihood of yes or no, from a probability.",
     "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2"},
    {"binary_cross_entropy_with_logits", "t log1p(exp(-y)) + (1 - t) log1p(exp(y))",
     "The negative log-likelihood of yes or no, from a logit; its gradient is sigmoid(y) - t.",
     "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.2"},
    {"cross_entropy", "logsumexp(z) - z[t]",
     "The negative log-likelihood of a class, from logits; its gradient is softmax(z) - onehot(t).",
     "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3"},
    {"hinge_loss", "maximum(0, 1 - t y)", "Zero beyond a margin of 1 on the right side, linear before it.",
     "Cortes and Vapnik, Support-vector networks, Machine Learning 20, 1995"},
    {"huber_loss", "where(abs(y - t) <= delta, (y - t)^2 / 2, delta (abs(y - t) - delta / 2))",
     "Squares small errors and takes large ones as they are: outliers pull no harder than delta.",
     "Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35, 1964"},
    {"kl_div", "t (log(t) - y)", "The Kullback-Leibler divergence of exp(y) from t, summed over classes.",
     "Kullback and Leibler, On information and sufficiency, Annals of Mathematical Statistics 22, 1951"},
    {"l1_loss", "abs(y - t)", "The absolute error, whose minimum is the median.",
     "Boscovich, De litteraria expeditione per pontificiam ditionem, 1757"},
    {"mse_loss", "(y - t)^2", "The squared error, whose minimum is the mean.",
     "Legendre, Nouvelles méthodes pour la détermination des orbites des comètes, 1805"},
    {"nll_loss", "-l[t]", "The negative log-likelihood of a class, from log-probabilities.",
     "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3"},
    {"smooth_l1_loss", "where(abs(y - t) < beta, (y - t)^2 / (2 beta), abs(y - t) - beta / 2)",
     "Huber's loss scaled to the slope 1.", "Girshick, Fast R-CNN, ICCV 2015"},
    {"soft_margin_loss", "log1p(exp(-t y))", "The logistic loss for targets of -1 and 1.",
     "Friedman, Hastie and Tibshirani, Additive logistic regression, Annals of Statistics 28, 2000"},
};

}  // namespace

std::span<const Description> loss_table() { return descriptions; }

}  // namespace chainrule::nn
