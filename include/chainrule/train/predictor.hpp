#pragma once

#include <string>

#include <chainrule/train/config.hpp>

namespace chainrule::train {

/// The model of a run's folder with what it needs to take data as they are: the scaling of the features, the
/// names of the columns and classes. (`nn::load` gives the model alone, whose inputs must be scaled first.)
///
///     const train::Predictor model("runs/demo");
///     const Tensor p = model.predict(model.load("new.csv"));  // [rows, classes]
class CHAINRULE_API Predictor {
 public:
  /// Throws IoError where the folder is no run's, or damaged.
  explicit Predictor(const std::string& folder);

  const DataFormat& format() const { return format_; }
  const nn::Module& model() const { return model_; }
  /// For each row the probability of each class, [n, classes]; for a regression the values in the targets'
  /// own units, [n, outputs]. `features` are as the training data were before scaling: [n, example…]. Many
  /// threads may call it. Throws ShapeError for examples of another shape.
  Tensor predict(const Tensor& features) const;
  /// All examples of a file, to be given to `predict`: a table (.csv, .tsv) with the training data's columns,
  /// .npy, .npz, or IDX, plain or gzip. One example without the axis of rows counts as one row. Of a model of
  /// bytes, floating files that stay within [0, 1] hold bytes divided by 255. Throws IoError, ShapeError and
  /// ArgumentError for files that do not fit.
  Tensor load(const std::string& file) const;

 private:
  DataFormat format_;
  nn::Module model_;
};

}  // namespace chainrule::train
