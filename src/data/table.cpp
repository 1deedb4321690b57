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
constexpr std::size_t most_one_hot = 1000;

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
       "data.missing = \"mean\" (Missing::keep) replaces them by the training part's mean");
}

void check_categories(const CsvColumn& column, const std::string& path, Categorical categorical) {
  if (column.type != CsvType::categorical || categorical == Categorical::index ||
      column.categories.size() <= most_one_hot)
    return;
  fail(path, column.name,
       std::to_string(column.categories.size()) + " different texts would make as many columns",
       "drop the column (data.drop), or number its texts with data.categorical = \"index\"");
}

void append_features(std::vector<Feature>& features, const std::string& name,
                     const std::vector<std::string>& categories, const std::vector<double>& numbers,
                     Categorical categorical) {
  if (!categories.empty() && categorical == Categorical::one_hot) {
    for (std::size_t c = 0; c < categories.size(); ++c) {
      Feature feature{name + "=" + categories[c], {}};
      for (const double x : numbers) feature.values.push_back(x == static_cast<double>(c) ? 1.0F : 0.0F);
      features.push_back(std::move(feature));
    }
    return;
  }
  Feature feature{name, {}};
  const bool has_gaps = !categories.empty();
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
         "choose data.task = \"regression\", or write the classes as names or whole numbers");
  }
  if (task == Task::regression && column.type == CsvType::categorical) {
    fail(path, column.name, "values to predict can't be text", "choose data.task = \"classification\"");
  }
  if (task == Task::classification) return set_classes(dataset, column);
  const std::vector<double> numbers = numbers_of(column);
  const std::vector<float> values(numbers.begin(), numbers.end());
  dataset.task = Task::regression;
  dataset.targets = Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

/// The column's values by the categories of another file; −1 where it has another one, or none.
std::vector<double> numbers_by(const CsvColumn& column, const std::vector<std::string>& categories) {
  std::vector<double> known(column.categories.size(), -1);
  for (std::size_t i = 0; i < known.size(); ++i) {
    const auto found = std::lower_bound(categories.begin(), categories.end(), column.categories[i]);
    if (found != categories.end() && *found == column.categories[i])
      known[i] = static_cast<double>(found - categories.begin());
  }
  std::vector<double> numbers = numbers_of(column);
  for (double& x : numbers) x = x < 0 ? -1 : known[static_cast<std::size_t>(x)];
  return numbers;
}

/// A column that is text in one file may hold nothing but numbers in another.
CsvColumn as_text(const CsvColumn& column) {
  CsvColumn text = column;
  std::map<std::string, std::int64_t> places;
  std::vector<std::string> values;
  for (const double x : numbers_of(column)) {
    values.push_back(std::isnan(x) ? "" : std::to_string(static_cast<std::int64_t>(x)));
    if (!std::isnan(x)) places.emplace(values.back(), 0);
  }
  text.categories.clear();
  for (auto& [name, place] : places) {
    place = static_cast<std::int64_t>(text.categories.size());
    text.categories.push_back(name);
  }
  std::vector<std::int64_t> indices;
  for (const std::string& value : values) indices.push_back(value.empty() ? -1 : places.at(value));
  text.values = Tensor::from(indices, {static_cast<std::int64_t>(indices.size())}).to_host();
  text.type = CsvType::categorical;
  return text;
}

}  // namespace

Dataset csv(const std::string& path, const CsvDataOptions& options) {
  return csv_table(path, options).dataset;
}

Table csv_table(const std::string& path, const CsvDataOptions& options) {
  const CsvTable table = read_csv(path, options.csv);
  Dataset result;
  TableFormat format{.target = options.target.empty() ? table.columns().back().name : options.target,
                     .columns = {},
                     .categorical = options.categorical,
                     .csv = options.csv};
  result.name = std::filesystem::path(path).stem().string();
  set_target(result, table.column(format.target), options, path);
  for (const std::string& name : options.drop) table.column(name);  // throws where there is none
  std::vector<Feature> features;
  for (const CsvColumn& column : table.columns()) {
    if (column.name == format.target ||
        std::find(options.drop.begin(), options.drop.end(), column.name) != options.drop.end())
      continue;
    check_missing(column, path, options.missing);
    check_categories(column, path, options.categorical);
    append_features(features, column.name, column.categories, numbers_of(column), options.categorical);
    format.columns.push_back({column.name, column.categories});
  }
  if (features.empty())
    fail(path, format.target, "no column is left for the features", "the target is the only column");
  result.features = matrix_of(features, table.rows());
  for (Feature& feature : features) result.feature_names.push_back(std::move(feature.name));
  result.check();
  return {std::move(result), std::move(format)};
}

Tensor read_features(const std::string& path, const TableFormat& format) {
  const CsvTable table = read_csv(path, format.csv);
  std::vector<Feature> features;
  for (const TableFormat::Column& wanted : format.columns) {
    const CsvColumn& column = table.column(wanted.name);
    if (wanted.categories.empty()) {
      if (column.type == CsvType::categorical)
        fail(path, column.name, "text where the training data had numbers", "");
      append_features(features, wanted.name, {}, numbers_of(column), format.categorical);
      continue;
    }
    const bool is_text = column.type == CsvType::categorical;
    append_features(features, wanted.name, wanted.categories,
                    numbers_by(is_text ? column : as_text(column), wanted.categories), format.categorical);
  }
  return matrix_of(features, table.rows());
}

}  // namespace chainrule::data
