#include <filesystem>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>
#include <chainrule/text.hpp>

namespace chainrule::data {
namespace {

/// A column vector of targets, [n, 1], is taken as [n].
Tensor flat_targets(HostArray array) {
  if (array.shape.size() == 2 && array.shape[1] == 1) array.shape = {array.shape[0]};
  return Tensor(std::move(array));
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

}  // namespace

Dataset fashion_mnist(const FashionMnistOptions& options) {
  const std::string prefix = options.directory + (options.part == Part::train ? "/train" : "/t10k");
  const std::string images = prefix + "-images-idx3-ubyte.gz";
  const std::string labels = prefix + "-labels-idx1-ubyte.gz";
  for (const std::string& path : {images, labels}) {
    if (std::filesystem::exists(path)) continue;
    throw IoError({.function = "data::fashion_mnist",
                   .argument = "directory",
                   .problem = "Fashion-MNIST is not there",
                   .got = path,
                   .wanted = "the four files of the data set",
                   .hint = "apt install dataset-fashion-mnist, or give the folder that has it"});
  }
  Dataset result = from(
      Tensor(load_idx(images)), Tensor(load_idx(labels)),
      {"T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"});
  result.name = "fashion-mnist";
  return result;
}

Dataset idx(const std::string& features_path, const std::string& targets_path) {
  return named(from(table_features(load_idx(features_path)), flat_targets(load_idx(targets_path))),
               features_path);
}

Dataset npy(const std::string& features_path, const std::string& targets_path) {
  return named(from(table_features(load_npy(features_path)), flat_targets(load_npy(targets_path))),
               features_path);
}

Dataset npz(const std::string& path, const std::string& features, const std::string& targets) {
  const NamedArrays arrays = load_npz(path);
  return named(from(table_features(array_called(arrays, features, path)),
                    flat_targets(array_called(arrays, targets, path))),
               path);
}

}  // namespace chainrule::data
