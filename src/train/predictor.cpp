// A run's model on new data: data.json beside the weights says how raw data become the model's inputs.

#include <chainrule/train/predictor.hpp>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "io/json.hpp"
#include "train/build.hpp"
#include "train/evaluation.hpp"

namespace chainrule::train {
namespace {

using io::Json;

constexpr std::int64_t rows_at_once = 1024;

Json to_json(const Dims& dims) { return std::vector<std::int64_t>(dims.begin(), dims.end()); }
Dims dims_from(const Json& json) {
  const auto values = json.get<std::vector<std::int64_t>>();
  if (values.size() > static_cast<std::size_t>(max_rank)) throw std::out_of_range("a shape");
  return Dims(std::span<const std::int64_t>(values));
}

Json to_json(const std::optional<data::Scaling>& scaling) {
  if (!scaling) return nullptr;
  return {{"shape", to_json(scaling->shift.shape())},
          {"shift", scaling->shift.to_vector<double>()},
          {"scale", scaling->scale.to_vector<double>()}};
}
std::optional<data::Scaling> scaling_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  const Shape shape = dims_from(json.at("shape"));
  const auto shift = json.at("shift").get<std::vector<double>>();
  const auto scale = json.at("scale").get<std::vector<double>>();
  if (static_cast<std::int64_t>(shift.size()) != element_count(shape) || shift.size() != scale.size())
    throw std::out_of_range("a scaling");
  return data::Scaling{Tensor::from(shift, shape), Tensor::from(scale, shape)};
}

Json to_json(const std::optional<data::TableFormat>& table) {
  if (!table) return nullptr;
  Json columns = Json::array();
  for (const auto& column : table->columns)
    columns.push_back({{"name", column.name}, {"categories", column.categories}});
  static constexpr const char* headers[] = {"yes", "no", "auto"};
  return {{"target", table->target},
          {"categorical", table->categorical == data::Categorical::index ? "index" : "one_hot"},
          {"delimiter", std::string(1, table->csv.delimiter)},
          {"header", headers[static_cast<int>(table->csv.header)]},
          {"columns", columns}};
}
std::optional<data::TableFormat> table_from(const Json& json) {
  if (json.is_null()) return std::nullopt;
  data::TableFormat table;
  table.target = json.at("target").get<std::string>();
  table.categorical =
      json.at("categorical") == "index" ? data::Categorical::index : data::Categorical::one_hot;
  table.csv.delimiter = json.at("delimiter").get<std::string>().at(0);
  table.csv.header = json.at("header") == "yes"  ? CsvHeader::yes
                     : json.at("header") == "no" ? CsvHeader::no
                                                 : CsvHeader::automatic;
  for (const Json& column : json.at("columns")) {
    table.columns.push_back(
        {column.at("name").get<std::string>(), column.at("categories").get<std::vector<std::string>>()});
  }
  return table;
}

DataFormat format_from(const Json& json) {
  DataFormat format;
  format.task = json.at("task") == "regression" ? data::Task::regression : data::Task::classification;
  format.example_shape = dims_from(json.at("example_shape"));
  const auto dtype = json.at("dtype").get<std::string>();
  for (const DType candidate : {DType::uint8, DType::float32, DType::float64}) {
    if (dtype == dtype_name(candidate)) format.dtype = candidate;
  }
  format.precision = json.value("precision", format.precision);
  const Names& precisions = precision_names();
  if (std::find(precisions.begin(), precisions.end(), format.precision) == precisions.end())
    throw std::out_of_range("a precision");
  format.feature_names = json.at("feature_names").get<std::vector<std::string>>();
  format.class_names = json.at("class_names").get<std::vector<std::string>>();
  format.features_array = json.at("features_array").get<std::string>();
  format.table = table_from(json.at("table"));
  format.scaling = scaling_from(json.at("scaling"));
  format.target_scaling = scaling_from(json.at("target_scaling"));
  return format;
}

/// A table for data that never were one: its columns have the features' names.
data::TableFormat table_of(const DataFormat& format) {
  if (format.table) return *format.table;
  data::TableFormat table;
  for (const std::string& name : format.feature_names) table.columns.push_back({name, {}});
  return table;
}

Tensor read_file(const std::string& file, const DataFormat& format) {
  if (is_table(file)) {
    data::TableFormat table = table_of(format);
    if (!format.table) table.csv.delimiter = file.ends_with(".tsv") ? '\t' : ',';
    if (table.columns.empty()) {
      throw ArgumentError(
          {.function = "train::Predictor::load",
           .argument = "file",
           .problem = "this model was not trained on a table",
           .got = file,
           .wanted = "examples " + to_string(format.example_shape) + " in .npy, .npz or IDX"});
    }
    return data::read_features(file, table);
  }
  if (file.ends_with(".npy")) return Tensor(load_npy(file));
  if (!file.ends_with(".npz")) return Tensor(load_idx(file));
  const NamedArrays arrays = load_npz(file);
  const auto found = arrays.find(format.features_array);
  if (found != arrays.end()) return Tensor(found->second);
  if (arrays.size() == 1) return Tensor(arrays.begin()->second);
  std::string names;
  for (const auto& [name, array] : arrays) names += (names.empty() ? "" : ", ") + name;
  throw ArgumentError({.function = "train::Predictor::load",
                       .argument = "file",
                       .problem = file + " has no array " + quote(format.features_array),
                       .got = names});
}

bool within_unit(const Tensor& features) {
  return features.size() > 0 && min(features).item<double>() >= 0 && max(features).item<double>() <= 1;
}

}  // namespace

void save_format(const std::string& folder, const DataFormat& format) {
  io::write_json(folder + "/data.json",
                 {{"task", format.task == data::Task::regression ? "regression" : "classification"},
                  {"example_shape", to_json(format.example_shape)},
                  {"dtype", std::string(dtype_name(format.dtype))},
                  {"precision", format.precision},
                  {"feature_names", format.feature_names},
                  {"class_names", format.class_names},
                  {"features_array", format.features_array},
                  {"table", to_json(format.table)},
                  {"scaling", to_json(format.scaling)},
                  {"target_scaling", to_json(format.target_scaling)}});
}

DataFormat load_format(const std::string& folder) {
  const std::string path = folder + "/data.json";
  if (!std::filesystem::exists(path)) {
    throw IoError({.function = "train::Predictor",
                   .argument = "folder",
                   .problem = "this is no folder of a run",
                   .got = folder,
                   .wanted = "a folder that train wrote, with data.json and model.safetensors"});
  }
  const auto damaged = [&](const char* what) {
    return IoError({.function = "train::Predictor",
                    .argument = "folder",
                    .problem = std::string("a file of the run is damaged: ") + what,
                    .got = path,
                    .wanted = "data.json as training writes it"});
  };
  try {
    return format_from(io::read_json(path));
  } catch (const nlohmann::json::exception& error) {
    throw damaged(error.what());
  } catch (const std::out_of_range& error) {
    throw damaged(error.what());
  }
}

Predictor::Predictor(const std::string& folder)
    : format_(load_format(folder)), model_(nn::load(folder + "/model.safetensors")) {}

Tensor Predictor::predict(const Tensor& features) const {
  Shape wanted = format_.example_shape;
  wanted.insert(0, features.rank() > 0 ? features.size(0) : 0);
  if (features.rank() == 0 || features.shape() != wanted) {
    throw ShapeError({.function = "train::Predictor::predict",
                      .argument = "features",
                      .problem = "the examples are not of the shape that the model was trained on",
                      .got = to_string(features.shape()),
                      .wanted = "[rows, …], each row " + to_string(format_.example_shape)});
  }
  const Context scope({.train = false, .dtypes = dtypes_of(format_.precision)});
  std::vector<Tensor> parts;
  for (std::int64_t row = 0; row < features.size(0); row += rows_at_once) {
    const Tensor raw = slice(features, 0, row, std::min(row + rows_at_once, features.size(0)));
    const Tensor x = format_.scaling ? (*format_.scaling)(raw) : raw.astype(DType::float32);
    // One expression, as where the run was evaluated: a value of its own would be rounded to bfloat16.
    const Tensor y = Context::to_reductions(model_(x));
    const bool classes = format_.task == data::Task::classification;
    parts.push_back((classes ? class_probabilities(y) : unscaled(y, format_.target_scaling)).eval());
  }
  if (parts.empty()) return zeros({0, static_cast<std::int64_t>(format_.class_names.size())});
  return parts.size() == 1 ? parts[0] : concatenate(parts, 0).eval();
}

Tensor Predictor::load(const std::string& file) const {
  Tensor rows = read_file(file, format_);
  if (rows.shape() == format_.example_shape) rows = unsqueeze(rows, 0);
  Shape wanted = format_.example_shape;
  wanted.insert(0, rows.rank() > 0 ? rows.size(0) : 0);
  if (rows.shape() != wanted) {
    throw ShapeError({.function = "train::Predictor::load",
                      .argument = "file",
                      .problem = file + ": the examples are not of the shape that the model was trained on",
                      .got = to_string(rows.shape()),
                      .wanted = "[rows, …], each row " + to_string(format_.example_shape)});
  }
  if (format_.dtype == DType::uint8 && is_floating(rows.dtype()) && within_unit(rows)) rows = rows * 255;
  return rows.eval();
}

}  // namespace chainrule::train
