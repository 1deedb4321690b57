// From a configuration to data: files and toy sets, splits, scaling.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "train/build.hpp"

namespace chainrule::train {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t most_classes = 10'000;

std::optional<data::Task> task_of(const DataConfig& c) {
  if (c.task == "classification") return data::Task::classification;
  if (c.task == "regression") return data::Task::regression;
  return std::nullopt;
}

/// Of the usual delimiters the one that the first line has most of.
char guessed_delimiter(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  for (char c = 0; line.size() < 65536 && file.get(c) && c != '\n';) line += c;
  char best = ',';
  for (const char candidate : {';', '\t', '|'}) {
    if (std::count(line.begin(), line.end(), candidate) > std::count(line.begin(), line.end(), best))
      best = candidate;
  }
  return best;
}

CsvOptions csv_options(const DataConfig& c) {
  CsvOptions options;
  options.delimiter = c.delimiter == "auto"  ? guessed_delimiter(c.source)
                      : c.delimiter == "tab" ? '\t'
                                             : c.delimiter[0];
  options.header = c.header == "yes"  ? CsvHeader::yes
                   : c.header == "no" ? CsvHeader::no
                                      : CsvHeader::automatic;
  return options;
}

bool is_number(const std::string& text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end == text.data() + text.size();
}

/// A first row of numbers is one of examples, which would be lost as the columns' names.
void check_header(const DataConfig& c, const data::TableFormat& format) {
  const bool numbers =
      is_number(format.target) && std::all_of(format.columns.begin(), format.columns.end(),
                                              [](const auto& column) { return is_number(column.name); });
  if (c.header != "yes" || !numbers) return;
  throw ArgumentError({.function = "train::load_data",
                       .argument = "data.header",
                       .problem = c.source + ": the first row holds numbers, not the columns' names",
                       .wanted = "a row of names",
                       .hint = "data.header = \"no\", or --no-header"});
}

data::Dataset load_table(const DataConfig& c, DataFormat& format) {
  data::Table table = data::csv_table(
      c.source,
      {.target = c.target,
       .task = task_of(c),
       .drop = c.drop,
       .categorical = c.categorical == "index" ? data::Categorical::index : data::Categorical::one_hot,
       .missing = c.missing == "mean" ? data::Missing::keep : data::Missing::error,
       .csv = csv_options(c)});
  check_header(c, table.format);
  format.table = std::move(table.format);
  return std::move(table.dataset);
}

/// The file of the targets: as given, or beside MNIST's pictures under its usual name.
std::string targets_of(const DataConfig& c) {
  if (!c.targets.empty()) return c.targets;
  std::string path = c.source;
  if (const std::size_t at = path.rfind("images-idx3"); at != std::string::npos) {
    path.replace(at, std::string("images-idx3").size(), "labels-idx1");
    if (fs::exists(path)) return path;
  }
  throw ArgumentError({.function = "train::load_data",
                       .argument = "data.targets",
                       .problem = c.source + " holds the features alone",
                       .wanted = "the file of the targets",
                       .hint = "data.targets = \"FILE\", or --targets FILE"});
}

data::Dataset load_source(const Config& config, data::Part part, DataFormat& format) {
  const DataConfig& c = config.data;
  if (c.source == "fashion-mnist") return data::fashion_mnist({.directory = c.directory, .part = part});
  if (is_table(c.source)) return load_table(c, format);
  if (c.source.ends_with(".npz")) return data::npz(c.source, c.features_array, c.targets_array, task_of(c));
  if (c.source.ends_with(".npy")) return data::npy(c.source, targets_of(c), task_of(c));
  if (is_idx(c.source)) return data::idx(c.source, targets_of(c), task_of(c));
  Names names = data::toy_names();
  if (std::find(names.begin(), names.end(), c.source) != names.end())
    return data::toy(c.source, {.examples = c.examples, .noise = c.noise, .seed = config.seed});
  names.insert(names.begin(), "fashion-mnist");
  std::string wanted;
  for (const std::string& name : names) wanted += name + ", ";
  const auto nearest = nearest_name(c.source, names);
  throw ArgumentError({.function = "train::load_data",
                       .argument = "data.source",
                       .problem = "there is no such data set",
                       .got = quote(c.source),
                       .wanted = wanted + "or a file: .csv, .tsv, .npz, .npy, or IDX (…-ubyte, .gz)",
                       .hint = nearest ? "did you mean " + quote(*nearest) + "?" : std::string()});
}

void check_classes(const data::Dataset& all) {
  if (all.task != data::Task::classification) return;
  if (all.classes() < 2) {
    throw ArgumentError({.function = "train::load_data",
                         .argument = "data.target",
                         .problem = "all examples are of one class: there is nothing to tell apart",
                         .got = all.class_names.empty() ? "no class" : "class " + quote(all.class_names[0]),
                         .wanted = "two classes or more",
                         .hint = "choose another target, or data.task = \"regression\" for numbers"});
  }
  if (all.classes() > most_classes) {
    throw ArgumentError(
        {.function = "train::load_data",
         .argument = "data.target",
         .problem = "so many classes are hardly meant",
         .got = std::to_string(all.classes()) + " classes for " + std::to_string(all.size()) + " examples",
         .wanted = "up to " + std::to_string(most_classes) + ", counted from 0",
         .hint = "choose another target, or data.task = \"regression\" for numbers"});
  }
}

std::optional<data::Scaling> scaling_for(const std::string& kind, const data::Dataset& training) {
  if (kind == "none") return std::nullopt;
  if (kind == "unit") return data::Scaling::bytes_to_unit();
  if (kind == "standardize") return data::Scaling::standardize(training);
  return training.features.dtype() == DType::uint8 ? data::Scaling::bytes_to_unit()
                                                   : data::Scaling::standardize(training);
}

void scale_targets(data::Dataset& part, const data::Scaling& scaling) {
  const DType dtype = part.targets.dtype();
  part.targets = ((part.targets.astype(DType::float64) - scaling.shift) * scaling.scale).astype(dtype).eval();
}

void scale(PreparedData& parts, const DataConfig& c) {
  std::vector<data::Dataset*> all = {&parts.training, &parts.test};
  if (parts.validation) all.push_back(&*parts.validation);
  parts.format.scaling = scaling_for(c.scaling, parts.training);
  if (c.target_scaling == "standardize") {
    if (parts.training.task != data::Task::regression) {
      throw ArgumentError({.function = "train::load_data",
                           .argument = "data.target_scaling",
                           .problem = "classes can't be scaled",
                           .got = "standardize",
                           .wanted = "none, or values to predict"});
    }
    data::Dataset targets;
    targets.features = parts.training.targets;
    parts.format.target_scaling = data::Scaling::standardize(targets);
  }
  for (data::Dataset* part : all) {
    part->scaling = parts.format.scaling;
    if (parts.format.target_scaling) scale_targets(*part, *parts.format.target_scaling);
  }
}

}  // namespace

bool is_idx(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  for (const char* ending : {".idx", ".idx.gz", "ubyte", "ubyte.gz"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}
bool is_table(const std::string& path) { return path.ends_with(".csv") || path.ends_with(".tsv"); }
bool is_file_source(const std::string& source) {
  return is_table(source) || is_idx(source) || source.ends_with(".npz") || source.ends_with(".npy");
}

Tensor unscaled(const Tensor& values, const std::optional<data::Scaling>& scaling) {
  if (!scaling) return values;
  return values.astype(DType::float64) / scaling->scale + scaling->shift;
}

PreparedData load_data(const Config& config) {
  const DataConfig& c = config.data;
  PreparedData result;
  data::Dataset all = load_source(config, data::Part::train, result.format);
  check_classes(all);
  if (c.source == "fashion-mnist") {
    result.test = load_source(config, data::Part::test, result.format);
  } else {
    data::Split split = data::stratified_split(all, c.test_split, config.seed + 1);
    all = std::move(split.first);
    result.test = std::move(split.second);
  }
  if (c.validation_split > 0) {
    data::Split split = data::stratified_split(all, c.validation_split, config.seed + 2);
    all = std::move(split.first);
    result.validation = std::move(split.second);
  }
  result.training = std::move(all);
  scale(result, c);
  result.format.task = result.training.task;
  result.format.example_shape = result.training.example_shape();
  result.format.dtype = result.training.features.dtype();
  result.format.precision = config.training.precision;
  result.format.feature_names = result.training.feature_names;
  result.format.class_names = result.training.class_names;
  result.format.features_array = c.features_array;
  return result;
}

}  // namespace chainrule::train
