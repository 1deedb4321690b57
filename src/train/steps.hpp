#pragma once

#include <chainrule/compile.hpp>
#include <chainrule/train/fit.hpp>

/// The two computations of training: a step, and a look without learning.
namespace chainrule::train {

/// What a step gives back. `probes` holds ‖∂L/∂w‖², ‖Δw‖² and ‖w‖² for each trainable parameter, in turn;
/// a zero where nobody asked.
struct StepResult {
  Tensor loss;
  Tensor prediction;
  Tensor probes;
  void visit(Visitor& v) {
    v("loss", loss);
    v("prediction", prediction);
    v("probes", probes);
  }
};

/// What is added to the loss, and done to its gradient.
struct Regularization {
  double l1 = 0;
  double l2 = 0;
  std::vector<PenaltyGroup> groups;
  double clip_value = 0;
  double clip_norm = 0;
};

/// What the options of a training ask for.
Regularization regularization_of(const Options& options);

/// Σ over the parameters of l1 · Σ|w| + l2 / 2 · Σw²; undefined where nothing is asked for.
Tensor penalty(const nn::Module& model, const Regularization& regularization);

/// loss(prediction, target), with a column of values [n, 1] taken as [n] where the targets are [n].
Tensor aligned_loss(const Loss& loss, const Tensor& prediction, const Tensor& target);

/// A function object for `compile`: forward, backward, update.
class TrainStep {
 public:
  TrainStep(nn::Module& model, optim::Optimizer& optimizer, Loss loss, Regularization regularization,
            bool probing)
      : model_(&model),
        optimizer_(&optimizer),
        loss_(std::move(loss)),
        regularization_(std::move(regularization)),
        probing_(probing) {}
  StepResult operator()(const Tensor& x, const Tensor& y) const;

 private:
  nn::Module* model_;
  optim::Optimizer* optimizer_;
  Loss loss_;
  Regularization regularization_;
  bool probing_;
};

/// A function object for `compile`: forward and loss.
class LookStep {
 public:
  LookStep(nn::Module& model, Loss loss) : model_(&model), loss_(std::move(loss)) {}
  StepResult operator()(const Tensor& x, const Tensor& y) const;

 private:
  nn::Module* model_;
  Loss loss_;
};

using CompiledTrainStep = Compiled<TrainStep, nn::Module, optim::Optimizer>;
using CompiledLookStep = Compiled<LookStep, nn::Module>;

/// Predictions and losses of batches, put together.
class Collector {
 public:
  void add(const Tensor& loss, const Tensor& prediction, const Tensor& target);
  void clear();
  std::int64_t examples() const { return examples_; }
  double mean_loss() const { return examples_ > 0 ? loss_sum_ / static_cast<double>(examples_) : unknown; }
  double loss_sum() const { return loss_sum_; }
  Tensor predictions() const;
  Tensor targets() const;
  std::map<std::string, double> compute(const std::vector<Metric>& metrics) const;
  /// Continues from what an earlier process had collected.
  void restore(double loss_sum, const HostArray& predictions, const HostArray& targets);

 private:
  /// Rows of a dtype and row shape that the first batch decides.
  struct Rows {
    DType dtype = DType::float32;
    Shape shape;  // of one row
    std::vector<std::byte> bytes;
    void add(const HostArray& array);
    Tensor tensor(std::int64_t count) const;
  };
  Rows predictions_;
  Rows targets_;
  double loss_sum_ = 0;
  std::int64_t examples_ = 0;
};

/// The loss and metrics that a data set gets where none are given.
Loss default_loss(const Loss& loss, data::Task task);
std::vector<Metric> default_metrics(const std::vector<Metric>& metrics, data::Task task);
/// The dtype of the model's parameters: what batches are made in.
DType model_dtype(nn::Module& model);

/// Runs `look` over a data set's batches in evaluation mode. Absent where it was told to stop.
std::optional<Collector> look_at(CompiledLookStep& look, data::Loader& loader, const std::stop_token& stop);

}  // namespace chainrule::train
