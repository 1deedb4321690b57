#pragma once

#include <chainrule/train/config.hpp>

#include "io/json.hpp"

/// What a report needs of the test part, as JSON.
namespace chainrule::train {

/// [n, classes] from the logits of a classifier; a single output is the logit of class 1 against 0.
Tensor class_probabilities(const Tensor& logits);

/// Loss, metrics, confusion matrix, mistakes and right answers with their pictures, reliability bins; pairs
/// of true and predicted values for a regression; the plane of a model with two inputs. Examples whose
/// numbers are not finite are left out of pictures and bins.
io::Json evaluation_json(nn::Module& model, const data::Dataset& test, const RunResult& result);
/// The table of the model's layers: path, type, output shape for one example, parameters, FLOPs, bytes.
io::Json model_json(nn::Module& model, const data::Dataset& dataset);
io::Json preflight_json(const std::vector<Finding>& findings);

}  // namespace chainrule::train
