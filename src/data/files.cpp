#include <cmath>
#include <filesystem>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

namespace chainrule::data {
namespace {

/// A column vector of targets, [n, 1], is taken as [n]; its dtype is that of the task.
Tensor flat_targets(HostArray array, std::optional<Task> task) {
  if (array.shape.size() == 2 && array.shape[1] == 1) array.shape = {array.shape[0]};
  Tensor targets(std::move(array));
  if (task == Task::regression && !is_floating(targets.dtype())) return targets.astype(DType::float32).eval();
  if (task != Task::classification || !is_floating(targets.dtype())) return targets;
  for (const double x : targets.to_vector<double>()) {
    if (x == std::floor(x) && std::abs(x) < 1e15) continue;
    throw ArgumentError({.function = "data::from",
                         .argument = "targets",
                         .problem = "classes must be whole numbers",
                         .got = short_number(x),
                         .wanted = "0 to the number of classes − 1"});
  }
  return targets.astype(DType::int64).eval();
}

/// Numbers of a table, whatever their width: int32 and int64 features would be taken for indices.
Tensor table_features(HostArray array) {
  const bool whole = array.dtype == DType::int32 || array.dtype == DType::int64;
  const Tensor features(std::move(array));
  return whole ? features.astype(DType::float32).eval() : features;
}

Dataset named(Dataset dataset, const std::string& path) {
  dataset.name = std::filesystem::path(path).stem().string();
  return dataset;
}

const HostArray& array_called(const NamedArrays& arrays, const std::string& name, const std::string& path) {
  const auto found = arrays.find(name);
  if (found != arrays.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [key, array] : arrays) names.push_back(key);
  throw ArgumentError({.function = "data::npz",
                       .argument = name,
                       .problem = path + " has no such array",
                       .got = quote(name),
                       .hint = suggest(name, names)});
}

std::string compressed_or_plain(const std::string& path) {
  for (const std::string& candidate : {path + ".gz", path}) {
    if (std::filesystem::exists(candidate)) return candidate;
  }
  throw IoError({.function = "data::fashion_mnist",
                 .argument = "directory",
                 .problem = "Fashion-MNIST is not there",
                 .got = path + "(.gz)",
                 .wanted = "the four files of the data set",
                 .hint = "apt install dataset-fashion-mnist, or give the folder that has it"});
}

}  // namespace

Dataset fashion_mnist(const FashionMnistOptions& options) {
  const std::string prefix = options.directory + (options.part == Part::train ? "/train" : "/t10k");
  const std::string images = compressed_or_plain(prefix + "-images-idx3-ubyte");
  const std::string labels = compressed_or_plain(prefix + "-labels-idx1-ubyte");
  Dataset result = from(
      Tensor(load_idx(images)), Tensor(load_idx(labels)),
      {"T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"});
  result.name = "fashion-mnist";
  return result;
}

Dataset idx(const std::string& features_path, const std::string& targets_path, std::optional<Task> task) {
  return named(from(table_features(load_idx(features_path)), flat_targets(load_idx(targets_path), task)),
               features_path);
}

Dataset npy(const std::string& features_path, const std::string& targets_path, std::optional<Task> task) {
  return named(from(table_features(load_npy(features_path)), flat_targets(load_npy(targets_path), task)),
               features_path);
}

Dataset npz(const std::string& path, const std::string& features, const std::string& targets,
            std::optional<Task> task) {
  const NamedArrays arrays = load_npz(path);
  return named(from(table_features(array_called(arrays, features, path)),
                    flat_targets(array_called(arrays, targets, path), task)),
               path);
}

}  // namespace chainrule::data
