// Models in safetensors files: weights by path, the architecture as JSON in the metadata.

#include <filesystem>
#include <set>

#include <chainrule/error.hpp>
#include <chainrule/io.hpp>
#include <chainrule/nn/module.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

namespace chainrule::nn {
namespace {

constexpr const char* architecture_key = "architecture";

// A run's folder stands for the model in it.
std::string model_path(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored)
             ? (std::filesystem::path(path) / "model.safetensors").string()
             : path;
}

std::vector<std::string> names_of(const NamedArrays& arrays) {
  std::vector<std::string> names;
  for (const auto& [name, array] : arrays) names.push_back(name);
  return names;
}

// `nn::load` keeps the precision of the file; a model that the caller built keeps its own.
enum class Precision : std::uint8_t { of_file, of_model };

Tensor weight_for(const Leaf& leaf, const NamedArrays& arrays, const std::string& path, Precision precision) {
  const auto found = arrays.find(leaf.path);
  const std::string wanted = quote(leaf.path) + ' ' + to_string(leaf.tensor->shape());
  if (found == arrays.end()) {
    throw IoError({.function = "nn::load_weights",
                   .argument = path,
                   .problem = "the file lacks a tensor of the model",
                   .got = std::to_string(arrays.size()) + " tensors",
                   .wanted = wanted,
                   .hint = suggest(leaf.path, names_of(arrays))});
  }
  if (found->second.shape != leaf.tensor->shape()) {
    throw IoError({.function = "nn::load_weights",
                   .argument = path,
                   .problem = "a tensor has another shape than in the model",
                   .got = quote(leaf.path) + ' ' + to_string(found->second.shape),
                   .wanted = wanted});
  }
  const DType stored = found->second.dtype;
  const DType own = leaf.tensor->dtype();
  const bool keeps = precision == Precision::of_file && is_floating(stored) && is_floating(own);
  Tensor value = astype(Tensor(found->second), keeps ? stored : own);
  value.eval();
  return value;
}

void check_no_others(const std::vector<Leaf>& leaves, const NamedArrays& arrays, const std::string& path) {
  std::set<std::string> known;
  for (const Leaf& leaf : leaves) known.insert(leaf.path);
  for (const auto& [name, array] : arrays) {
    if (known.contains(name)) continue;
    throw IoError({.function = "nn::load_weights",
                   .argument = path,
                   .problem = "the file holds a tensor that the model has not",
                   .got = quote(name) + ' ' + to_string(array.shape),
                   .wanted = "the model's tensors alone",
                   .hint = suggest(name, std::vector<std::string>(known.begin(), known.end()))});
  }
}

void assign_weights(const std::vector<Leaf>& leaves, const NamedArrays& arrays, const std::string& path,
                    Precision precision) {
  std::vector<Tensor> values;
  for (const Leaf& leaf : leaves) values.push_back(weight_for(leaf, arrays, path, precision));
  check_no_others(leaves, arrays, path);
  for (std::size_t i = 0; i < leaves.size(); ++i) *leaves[i].tensor = std::move(values[i]);
}

}  // namespace

namespace detail {

void save_leaves(const std::vector<Leaf>& leaves, const Record& record, const std::string& path) {
  NamedArrays arrays;
  for (const Leaf& leaf : leaves) arrays[leaf.path] = leaf.tensor->to_host();
  save_safetensors(path, arrays, {{architecture_key, to_json(record)}});
}

void load_leaves(const std::vector<Leaf>& leaves, const std::string& path) {
  const std::string file = model_path(path);
  assign_weights(leaves, load_safetensors(file).arrays, file, Precision::of_model);
}

}  // namespace detail

Module load(const std::string& path, const Registry& registry) {
  const std::string file = model_path(path);
  const Safetensors content = load_safetensors(file);
  const auto architecture = content.metadata.find(architecture_key);
  if (architecture == content.metadata.end()) {
    throw IoError({.function = "nn::load",
                   .argument = file,
                   .problem = "the file holds weights without an architecture",
                   .got = std::to_string(content.arrays.size()) + " tensors",
                   .wanted = "a file that model.save wrote",
                   .hint = "build the model in code and use nn::load_weights"});
  }
  const Record record = record_from_json(architecture->second, file);
  const Context scope(
      {.seed = 0});  // the fresh weights, never computed, leave the caller's random stream alone
  Module model;
  try {
    model = registry.build(record);
  } catch (const ArgumentError& error) {
    ErrorParts parts = error.parts();
    parts.argument = file;
    throw IoError(parts);
  } catch (const ShapeError& error) {
    ErrorParts parts = error.parts();
    parts.argument = file;
    throw IoError(parts);
  }
  assign_weights(leaves(model), content.arrays, file, Precision::of_file);
  return model;
}

}  // namespace chainrule::nn
