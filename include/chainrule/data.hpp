#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <chainrule/io.hpp>
#include <chainrule/tensor.hpp>
#include <chainrule/tree.hpp>

/// Data sets, splits, scaling, and the loader that makes batches of them. Rows are examples.
namespace chainrule::data {

enum class Task : std::uint8_t { classification, regression };

struct Dataset;

/// x ↦ (x − shift) · scale, with one shift and scale for all features or one for each. Missing values (NaN)
/// become 0, the scaled mean. Fitted on the training part and then applied to every part.
struct CHAINRULE_API Scaling {
  Tensor shift;  ///< float64, [] or the shape of one example
  Tensor scale;  ///< the same shape

  /// [0, 255] → [0, 1].
  static Scaling bytes_to_unit();
  /// Mean 0 and standard deviation 1 for each feature of `training`: shift = mean, scale = 1 / σ with
  /// σ² = Σ(x − mean)² / n, over the values that are not missing. A constant feature gets scale 1, as in
  /// scikit-learn's StandardScaler. Throws ArgumentError for an empty data set.
  static Scaling standardize(const Dataset& training);
  /// The scaled features, float32 or, from float64, float64.
  Tensor operator()(const Tensor& features) const;
};

/// Examples with what is known about them. A value: copies share the tensors' memory.
struct CHAINRULE_API Dataset {
  std::string name;
  Tensor features;  ///< [n, example…]: float32, float64 or uint8; int32 or int64: indices, for an Embedding
  Tensor targets;   ///< classification: [n] int64 class indices; regression: [n] or [n, outputs], floating
  Task task = Task::classification;
  std::vector<std::string> class_names;    ///< classification: one for each class
  std::vector<std::string> feature_names;  ///< tables: one for each column; may be empty
  std::optional<Scaling> scaling;          ///< what the loader applies to the features

  /// The number of examples.
  std::int64_t size() const { return features.size(0); }
  /// The shape of one example.
  Shape example_shape() const;
  std::int64_t classes() const { return static_cast<std::int64_t>(class_names.size()); }
  /// The examples at `rows`, in that order. Throws ArgumentError for a row that is not there.
  Dataset subset(std::span<const std::int64_t> rows) const;
  /// The SHA-256 of the features' and targets' dtypes, shapes and bytes.
  std::string hash() const;
  /// Throws ShapeError, DTypeError or ArgumentError where the parts contradict each other: numbers of
  /// examples, a class index without a class, a dtype that is not listed above.
  void check() const;
};

/// A data set from tensors. uint8 features are scaled to [0, 1]; int32 and int64 ones are indices and stay as
/// they are; bool and bfloat16 become float32. Integer targets are class indices (classification), floating
/// ones values (regression). Without names, classes are numbered up to the largest index.
CHAINRULE_API Dataset from(const Tensor& features, const Tensor& targets,
                           std::vector<std::string> class_names = {});

/// A data set from a C++ range, copied: `data::from(span, {n, 28, 28}, labels)`. `shape` begins with the
/// number of examples.
template <Element T, typename Label>
requires Element<Label> || std::integral<Label> Dataset from(std::span<const T> features, const Shape& shape,
                                                             std::span<const Label> labels) {
  const Shape label_shape = {static_cast<std::int64_t>(labels.size())};
  if constexpr (std::floating_point<Label>) {
    return from(Tensor::from(features, shape), Tensor::from(labels, label_shape));
  } else {
    const std::vector<std::int64_t> indices(labels.begin(), labels.end());
    return from(Tensor::from(features, shape), Tensor::from(indices, label_shape));
  }
}
template <Element T, typename Label>
Dataset from(const std::vector<T>& features, const Shape& shape, const std::vector<Label>& labels) {
  return from(std::span<const T>(features), shape, std::span<const Label>(labels));
}

// ---- files --------------------------------------------------------------------------------------

enum class Part : std::uint8_t { train, test };

struct FashionMnistOptions {
  std::string directory = "/usr/share/datasets/fashion-mnist";
  Part part = Part::train;
};
/// Zalando's Fashion-MNIST: 60,000 (test: 10,000) gray pictures of 28 × 28 bytes in 10 classes of clothes,
/// scaled to [0, 1] by the loader. The files may be compressed by gzip or plain. Throws IoError where they
/// are missing; on Debian the package dataset-fashion-mnist has them. Source: Xiao, Rasul, Vollgraf,
/// arXiv:1708.07747
CHAINRULE_API Dataset fashion_mnist(const FashionMnistOptions& options = {});

/// Features and class indices (or values) from two IDX files, plain or gzip. `task` decides where the
/// targets' dtype does not say it: integers as values, or whole floating numbers as class indices. Throws
/// ArgumentError for others. Here and in the two readers below integer features other than uint8 become
/// float32; for indices pass what `load_npy` returns to `from`.
CHAINRULE_API Dataset idx(const std::string& features_path, const std::string& targets_path,
                          std::optional<Task> task = {});
/// From two NPY files.
CHAINRULE_API Dataset npy(const std::string& features_path, const std::string& targets_path,
                          std::optional<Task> task = {});
/// From the arrays called `features` and `targets` of an NPZ file. Throws ArgumentError with the names that
/// the file has.
CHAINRULE_API Dataset npz(const std::string& path, const std::string& features = "x",
                          const std::string& targets = "y", std::optional<Task> task = {});

/// What becomes of a categorical column: a 0/1 column for each category, or one column of indices.
enum class Categorical : std::uint8_t { one_hot, index };
/// What becomes of a missing value: an error, or NaN, which `Scaling` replaces by the training part's mean.
/// A missing category gives a row of zeros with `one_hot`. Rows without a target are errors either way.
enum class Missing : std::uint8_t { error, keep };

struct CsvDataOptions {
  std::string target;             ///< the target's column; empty: the last one
  std::optional<Task> task;       ///< empty: classification for text and for up to 20 different whole numbers
  std::vector<std::string> drop;  ///< columns to leave out
  Categorical categorical = Categorical::one_hot;
  Missing missing = Missing::error;
  CsvOptions csv;
};
/// A table with a target column. Throws IoError and ArgumentError with the column (and the nearest name), and
/// for a text column with more than 1,000 categories, which as 0/1 columns would fill the memory.
CHAINRULE_API Dataset csv(const std::string& path, const CsvDataOptions& options = {});

/// How a table was turned into features: what it takes to turn another file into the same ones.
struct TableFormat {
  struct Column {
    std::string name;
    std::vector<std::string> categories;  ///< of a text column; empty for numbers
  };
  std::string target;  ///< the target's column
  std::vector<Column> columns;
  Categorical categorical = Categorical::one_hot;
  CsvOptions csv;
};
struct Table {
  Dataset dataset;
  TableFormat format;
};
/// The same as `csv`, with the format beside the data set.
CHAINRULE_API Table csv_table(const std::string& path, const CsvDataOptions& options = {});
/// The features of another file, [rows, features] float32: its columns are found by name, and others, such as
/// a target, are ignored. Missing values are NaN; a category that the format does not know counts as missing.
/// Throws IoError for a damaged file, ArgumentError where a column is missing or holds text in place of
/// numbers.
CHAINRULE_API Tensor read_features(const std::string& path, const TableFormat& format);

// ---- toy sets: small, seeded, two inputs unless said ----------------------------------------------

struct ToyOptions {
  std::int64_t examples = 1000;
  double noise = 0.1;  ///< the standard deviation of what is added to each coordinate
  std::uint64_t seed = 0;
};
/// Four clouds at (±1, ±1); the class is whether the signs differ. No linear model does better than chance.
CHAINRULE_API Dataset xor_clouds(const ToyOptions& options = {});
/// Two circles around 0 with radii 1 and ½.
CHAINRULE_API Dataset circles(const ToyOptions& options = {});
/// Two half circles that reach into each other, as in scikit-learn's make_moons.
CHAINRULE_API Dataset moons(const ToyOptions& options = {});
/// `arms` spirals of one and a half turns each.
CHAINRULE_API Dataset spirals(const ToyOptions& options = {}, std::int64_t arms = 3);
/// `centres` normal clouds, their centres evenly spaced on a circle of radius 2; noise as given.
CHAINRULE_API Dataset blobs(const ToyOptions& options = {}, std::int64_t centres = 3);
/// Regression: y = sin(3x) + x/2 + noise, x uniform on [−2, 2]. One input.
CHAINRULE_API Dataset sine_curve(const ToyOptions& options = {});
/// Regression: y = x³ − x + noise, x uniform on [−1.5, 1.5]. One input.
CHAINRULE_API Dataset cubic_curve(const ToyOptions& options = {});
/// The toy set called `name`: xor, circles, moons, spirals, blobs, sine, cubic. Throws ArgumentError.
CHAINRULE_API Dataset toy(const std::string& name, const ToyOptions& options = {});
/// The names that `toy` knows.
CHAINRULE_API const std::vector<std::string>& toy_names();

// ---- splits -------------------------------------------------------------------------------------

struct Split {
  Dataset first;   ///< what is left: the training part
  Dataset second;  ///< the part held out
};
/// Holds out round(fraction · n) examples drawn at random. Throws ArgumentError unless 0 < fraction < 1 and
/// both parts get an example.
CHAINRULE_API Split random_split(const Dataset& dataset, double fraction, std::uint64_t seed = 0);
/// The same, with each class held out in its share: counts differ from fraction · n_class by less than one.
/// Regression sets are split at random.
CHAINRULE_API Split stratified_split(const Dataset& dataset, double fraction, std::uint64_t seed = 0);
/// A permutation of 0 … n−1, the same on every machine: Fisher and Yates' shuffle.
CHAINRULE_API std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed);

// ---- batches ------------------------------------------------------------------------------------

struct Batch {
  Tensor features;  ///< [rows, example…], scaled; indices as they are
  Tensor targets;   ///< class indices as int64, or values in the loader's dtype
  std::int64_t size() const { return targets.size(0); }
  /// A batch is a tree, so that a compiled step may take it whole.
  void visit(Visitor& v) {
    v.buffer("features", features);
    v.buffer("targets", targets);
  }
};

struct LoaderOptions {
  std::int64_t batch_size = 32;
  bool shuffle = false;
  std::uint64_t seed = 0;
  bool drop_last = false;  ///< leave out the last batch where it is smaller
  /// Of the features, unless they are indices, and of the targets of a regression: float32 or float64.
  DType dtype = DType::float32;
  /// Batches that a background thread makes ahead, the one in the making included; 0 to 1024. With 0 `next`
  /// makes each batch, on the threads of `thread_count()`. Default: 2 where `thread_count()` leaves a core
  /// free when the loader is made, else 0; unless set it is all cores, and the default so 0.
  std::optional<std::int64_t> prefetch = {};
};

/// Makes batches, in memory that it uses again. The order is a function of the seed and the epoch alone. One
/// thread at a time may use a loader.
///
///     Loader loader(dataset, {.batch_size = 128, .shuffle = true, .seed = 1});
///     for (int epoch = 0; epoch < 5; ++epoch) {
///       loader.start(epoch);
///       while (auto batch = loader.next()) step(batch->features, batch->targets);
///     }
class CHAINRULE_API Loader {
 public:
  /// Throws ArgumentError for a batch size below 1, for a data set that gives no batch and for a prefetch
  /// below 0 or above 1024; DTypeError for a dtype that batches can't have; ShapeError for a scaling made for
  /// other features.
  explicit Loader(Dataset dataset, const LoaderOptions& options = {});
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  /// Begins an epoch, at a batch of it (brought into 0 to `batches()`); the constructor has begun epoch 0.
  /// Batches of an earlier epoch that were not taken are dropped.
  void start(std::int64_t epoch, std::int64_t first_batch = 0);
  /// The next batch of the epoch; nothing at its end. A batch stays valid for as long as it is held: its
  /// memory is used again only once nobody holds it. Throws what making the batch throws, after the batches
  /// before it.
  std::optional<Batch> next();
  /// Batches of one epoch.
  std::int64_t batches() const;
  /// Batches that are made ahead; 0 where `next` makes each.
  std::int64_t prefetch() const;
  const Dataset& dataset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace chainrule::data
