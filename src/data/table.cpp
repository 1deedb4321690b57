// Tables with a target column.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>

namespace chainrule::data {
namespace {

constexpr std::size_t most_whole_number_classes = 20;

/// One column of the feature matrix.
struct Feature {
  std::string name;
  std::vector<float> values;
};

[[noreturn]] void fail(const std::string& path, const std::string& column, std::string problem,
                       std::string hint) {
  throw ArgumentError({.function = "data::csv",
                       .argument = column,
                       .problem = path + ": " + std::move(problem),
                       .hint = std::move(hint)});
}

std::vector<double> numbers_of(const CsvColumn& column) {
  const Tensor values(column.values);
  return values.to_vector<double>();
}

void check_missing(const CsvColumn& column, const std::string& path, Missing missing) {
  if (column.missing == 0 || missing == Missing::keep) return;
  fail(path, column.name, std::to_string(column.missing) + " values are missing",
       "Missing::keep replaces them by the training part's mean");
}

void append_features(std::vector<Feature>& features, const CsvColumn& column, Categorical categorical) {
  const std::vector<double> numbers = numbers_of(column);
  if (column.type == CsvType::categorical && categorical == Categorical::one_hot) {
    for (std::size_t c = 0; c < column.categories.size(); ++c) {
      Feature feature{column.name + "=" + column.categories[c], {}};
      for (const double x : numbers) feature.values.push_back(x == static_cast<double>(c) ? 1.0F : 0.0F);
      features.push_back(std::move(feature));
    }
    return;
  }
  Feature feature{column.name, {}};
  const bool has_gaps = column.type == CsvType::categorical;
  for (const double x : numbers) {
    feature.values.push_back(has_gaps && x < 0 ? std::numeric_limits<float>::quiet_NaN()
                                               : static_cast<float>(x));
  }
  features.push_back(std::move(feature));
}

Tensor matrix_of(const std::vector<Feature>& features, std::int64_t rows) {
  const std::size_t width = features.size();
  std::vector<float> values(static_cast<std::size_t>(rows) * width);
  for (std::size_t j = 0; j < width; ++j) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i)
      values[i * width + j] = features[j].values[i];
  }
  return Tensor::from(values, {rows, static_cast<std::int64_t>(width)});
}

std::map<std::int64_t, std::int64_t> whole_number_classes(const std::vector<double>& numbers) {
  std::map<std::int64_t, std::int64_t> classes;
  for (const double x : numbers) classes.emplace(static_cast<std::int64_t>(x), 0);
  std::int64_t next = 0;
  for (auto& [value, index] : classes) index = next++;
  return classes;
}

void set_classes(Dataset& dataset, const CsvColumn& column) {
  std::vector<std::int64_t> labels;
  if (column.type == CsvType::categorical) {
    labels = Tensor(column.values).to_vector<std::int64_t>();
    dataset.class_names = column.categories;
  } else {
    const std::vector<double> numbers = numbers_of(column);
    const auto classes = whole_number_classes(numbers);
    for (const double x : numbers) labels.push_back(classes.at(static_cast<std::int64_t>(x)));
    for (const auto& [value, index] : classes) dataset.class_names.push_back(std::to_string(value));
  }
  dataset.task = Task::classification;
  dataset.targets = Tensor::from(labels, {static_cast<std::int64_t>(labels.size())});
}

void set_target(Dataset& dataset, const CsvColumn& column, const CsvDataOptions& options,
                const std::string& path) {
  if (column.missing > 0)
    fail(path, column.name, "the target is missing in " + std::to_string(column.missing) + " rows",
         "leave these rows out");
  const bool few_whole_numbers = column.type == CsvType::integer &&
                                 whole_number_classes(numbers_of(column)).size() <= most_whole_number_classes;
  const Task guess =
      column.type == CsvType::categorical || few_whole_numbers ? Task::classification : Task::regression;
  const Task task = options.task.value_or(guess);
  if (task == Task::classification && column.type == CsvType::real) {
    fail(path, column.name, "classes can't be real numbers",
         "choose the task regression, or write the classes as names or whole numbers");
  }
  if (task == Task::regression && column.type == CsvType::categorical) {
    fail(path, column.name, "values to predict can't be text", "choose the task classification");
  }
  if (task == Task::classification) return set_classes(dataset, column);
  const std::vector<double> numbers = numbers_of(column);
  const std::vector<float> values(numbers.begin(), numbers.end());
  dataset.task = Task::regression;
  dataset.targets = Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

Dataset csv(const std::string& path, const CsvDataOptions& options) {
  const CsvTable table = read_csv(path, options.csv);
  const std::string target = options.target.empty() ? table.columns().back().name : options.target;
  Dataset result;
  result.name = std::filesystem::path(path).stem().string();
  set_target(result, table.column(target), options, path);
  for (const std::string& name : options.drop) table.column(name);  // throws where there is none
  std::vector<Feature> features;
  for (const CsvColumn& column : table.columns()) {
    if (column.name == target ||
        std::find(options.drop.begin(), options.drop.end(), column.name) != options.drop.end())
      continue;
    check_missing(column, path, options.missing);
    append_features(features, column, options.categorical);
  }
  if (features.empty())
    fail(path, target, "no column is left for the features", "the target is the only column");
  result.features = matrix_of(features, table.rows());
  for (Feature& feature : features) result.feature_names.push_back(std::move(feature.name));
  result.check();
  return result;
}

}  // namespace chainrule::data
