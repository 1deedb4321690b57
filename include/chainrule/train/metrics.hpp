#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <chainrule/tensor.hpp>

/// How good predictions are. Everything is counted in double over the whole data set, never averaged over
/// batches. Definitions are scikit-learn's.
///
/// Predictions of classes are logits [n, classes] or, for a class at each place of an example, [n, classes,
/// d..] with targets [n, d..]. Targets of −100 are left out, as the losses do.
namespace chainrule::train {

/// A number made of predictions [n, outputs] and targets.
struct Metric {
  std::string name;
  std::function<double(const Tensor& prediction, const Tensor& target)> compute;
  bool higher_is_better = true;
};

/// The share of examples whose largest logit (the first among equals) is the target's.
/// One output is a logit of class 1 against 0. Throws ShapeError where the shapes do not fit.
CHAINRULE_API double accuracy(const Tensor& prediction, const Tensor& target);
/// The uncertainty of an accuracy (or another share) of n examples: half of Wilson's interval at one standard
/// deviation, √(a (1 − a) / n + 1 / 4n²) / (1 + 1 / n). Unlike √(a (1 − a) / n) it is not 0 where all n
/// examples are right. NaN for n < 1. Wilson, Probable inference, the law of succession, and statistical
/// inference, Journal of the American Statistical Association 22, 1927.
CHAINRULE_API double accuracy_error(double accuracy, std::int64_t n);

/// How many targets count: of classes all but nn::ignored_class, of values all.
CHAINRULE_API std::int64_t counted_examples(const Tensor& target);

/// The share of examples whose target is among the k largest logits. Ties count in the order of the classes.
CHAINRULE_API double top_k_accuracy(const Tensor& prediction, const Tensor& target, std::int64_t k);

/// [K, K] int64 counts: the row is the true class, the column the predicted one.
CHAINRULE_API Tensor confusion_matrix(const Tensor& prediction, const Tensor& target);

/// Of one class: precision TP/(TP+FP), recall TP/(TP+FN), F1 = 2PR/(P+R); 0 where nothing can be counted.
struct ClassScores {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  std::int64_t support = 0;    ///< examples of this class
  std::int64_t predicted = 0;  ///< examples taken for this class
};
CHAINRULE_API std::vector<ClassScores> class_scores(const Tensor& prediction, const Tensor& target);
/// The plain mean of the scores over all classes that are a target or a prediction ("macro").
CHAINRULE_API ClassScores macro_scores(const Tensor& prediction, const Tensor& target);

/// R² = 1 − Σ(t − p)² / Σ(t − mean t)², the mean over the outputs. For a constant target 1 where every
/// prediction is right and 0 otherwise.
CHAINRULE_API double r2(const Tensor& prediction, const Tensor& target);
/// mean |p − t|
CHAINRULE_API double mean_absolute_error(const Tensor& prediction, const Tensor& target);
/// mean (p − t)²
CHAINRULE_API double mean_squared_error(const Tensor& prediction, const Tensor& target);

/// Metrics by name: accuracy, top_K for any K, precision, recall and f1 (macro), precision_C, recall_C and
/// f1_C of class C, r2, mae, mse. Throws ArgumentError.
CHAINRULE_API Metric metric(const std::string& name);
/// Those without a number, with top_3 and top_5.
CHAINRULE_API const std::vector<std::string>& metric_names();

}  // namespace chainrule::train
