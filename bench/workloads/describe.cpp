// Reads bench/workloads.json and writes what all sides read.

#include <algorithm>
#include <cctype>
#include <random>
#include <sstream>

#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;

std::string to_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// Names in braces, inside of the workload's name.
std::string filled_in(std::string text, const Json& values) {
  for (const auto& [key, value] : values.items()) {
    const std::string place = '{' + key + '}';
    for (std::size_t at = text.find(place); at != std::string::npos; at = text.find(place))
      text.replace(at, place.size(), to_text(value));
  }
  return text;
}

// A string that is the name of a value stands for the value.
Json replaced(const Json& tree, const Json& values) {
  if (tree.is_string()) {
    const auto found = values.find(tree.get<std::string>());
    return found == values.end() ? tree : *found;
  }
  Json result = tree;
  if (tree.is_structured()) {
    for (auto& [key, value] : result.items()) value = key == "name" ? value : replaced(value, values);
  }
  return result;
}

// An entry for each of the values in "each": a list, the name of one, or several names for all combinations.
void add_expanded(const Json& entry, const Json& file, std::vector<Json>& list) {
  if (!entry.contains("each")) {
    list.push_back(entry);
    return;
  }
  Json plain = entry;
  plain.erase("each");
  const Json& each = entry["each"];
  const bool has_several = each.is_array() && each.at(0).is_string();
  const Json& own = has_several ? each.at(0) : each;
  const Json& first = own.is_string() ? file.at(own.get<std::string>()) : own;
  Json others = has_several ? each : Json::array();
  if (has_several) others.erase(0);
  for (const Json& values : first) {
    Json workload = replaced(plain, values);
    workload["name"] = filled_in(entry["name"].get<std::string>(), values);
    if (!others.empty()) workload["each"] = others;
    add_expanded(workload, file, list);
  }
}

constexpr std::int64_t tiny_length = 8;

void make_tiny(Json& tree) {
  static const std::vector<std::string> lengths = {"widths", "batch", "shape", "read", "below"};
  for (auto& [key, value] : tree.items()) {
    if (std::find(lengths.begin(), lengths.end(), key) != lengths.end()) {
      if (value.is_number_integer()) value = std::min(value.get<std::int64_t>(), tiny_length);
      if (value.is_array()) {
        for (Json& length : value) length = std::min(length.get<std::int64_t>(), tiny_length);
      }
    } else if (value.is_structured()) {
      make_tiny(value);
    }
  }
}

// A prime, so that rows of any common length differ from each other.
constexpr std::size_t pool_size = 1048583;

cr::NamedArrays arrays_of_network(const Json& workload, std::uint64_t seed) {
  cr::seed(seed);
  cr::nn::Sequential model = network(workload, false);
  cr::NamedArrays arrays;
  int layer = 0;
  for (std::int64_t i = 0; i < model.size(); ++i) {
    const auto* linear = model[i].get_if<cr::nn::Linear>();
    if (linear == nullptr) continue;
    const std::string number = std::to_string(layer++);
    arrays["weight" + number] = linear->weight.to_host();
    arrays["bias" + number] = linear->bias.to_host();
  }
  const auto batch = workload["batch"].get<std::int64_t>();
  const auto widths = workload["widths"].get<std::vector<std::int64_t>>();
  arrays["x"] = cr::random::normal(cr::random::key(seed + 1), {batch, widths.front()}).to_host();
  if (workload.value("loss", "mse") == "cross_entropy") {
    std::mt19937_64 engine(seed + 2);
    std::vector<std::int64_t> classes;
    for (std::int64_t i = 0; i < batch; ++i)
      classes.push_back(static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(widths.back())));
    arrays["y"] = cr::Tensor::from(classes, {batch}).to_host();
  } else {
    arrays["y"] = cr::random::normal(cr::random::key(seed + 2), {batch, widths.back()}).to_host();
  }
  return arrays;
}

}  // namespace

Workloads load_workloads(const std::string& path, bool tiny) {
  const Json file = cr::io::read_json(path);
  Workloads result{.seed = file.at("seed").get<std::uint64_t>(), .list = {}};
  for (const Json& entry : file.at("workloads")) add_expanded(entry, file, result.list);
  if (tiny) {
    for (Json& workload : result.list) make_tiny(workload);
  }
  return result;
}

bool is_asked_for(const Json& workload, const std::string& patterns) {
  const auto name = workload["name"].get<std::string>();
  std::istringstream list(patterns);
  for (std::string pattern; std::getline(list, pattern, ';');) {
    if (pattern.starts_with('=') ? name == pattern.substr(1)
                                 : cr::detail::path_matches(name, '*' + pattern + '*'))
      return true;
  }
  return patterns.empty();
}

std::string file_name(const Json& workload) {
  auto name = workload["name"].get<std::string>();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  }
  return name;
}

Pool make_pool(std::uint64_t seed) {
  Pool pool;
  pool.normal =
      cr::random::normal(cr::random::key(seed), {static_cast<std::int64_t>(pool_size)}).to_vector<float>();
  std::mt19937_64 engine(seed);
  for (std::size_t i = 0; i < pool_size; ++i)
    pool.integer.push_back(static_cast<std::int64_t>(engine() >> 33));
  return pool;
}

void save_pool(const Pool& pool, const std::string& path) {
  const auto count = static_cast<std::int64_t>(pool.normal.size());
  cr::save_npz(path, {{"normal", cr::Tensor::from(pool.normal, {count}).to_host()},
                      {"integer", cr::Tensor::from(pool.integer, {count}).to_host()}});
}

// Reads the arrays as they are: a tensor's value might be computed by threads, which must not exist yet.
Pool load_pool(const std::string& path) {
  const cr::NamedArrays arrays = cr::load_npz(path);
  const cr::HostArray& normal = arrays.at("normal");
  const cr::HostArray& integer = arrays.at("integer");
  return {.normal = {normal.data<float>(), normal.data<float>() + normal.size()},
          .integer = {integer.data<std::int64_t>(), integer.data<std::int64_t>() + integer.size()}};
}

std::size_t pool_offset(int index, std::size_t size) { return static_cast<std::size_t>(index) * 7919 % size; }

cr::Tensor input_from(const Pool& pool, const Json& input, int index, cr::DType dtype) {
  const auto lengths = input.at("shape").get<std::vector<std::int64_t>>();
  const cr::Shape shape{std::span<const std::int64_t>(lengths)};
  const auto count = static_cast<std::size_t>(cr::element_count(shape));
  const std::string from = input.value("from", "normal");
  std::size_t place = pool_offset(index, pool.normal.size());
  const auto next = [&] {
    const std::size_t now = place;
    place = place + 1 == pool.normal.size() ? 0 : place + 1;
    return now;
  };
  if (from == "index") {
    const auto below = input.at("below").get<std::int64_t>();
    const cr::HostArray array = cr::HostArray::uninitialized(cr::DType::int64, shape);
    for (std::size_t i = 0; i < count; ++i) array.data<std::int64_t>()[i] = pool.integer[next()] % below;
    return cr::Tensor(array);
  }
  const cr::HostArray array = cr::HostArray::uninitialized(cr::DType::float32, shape);
  auto* values = array.data<float>();
  for (std::size_t i = 0; i < count; ++i) values[i] = pool.normal[next()];
  if (from == "positive") {
    for (std::size_t i = 0; i < count; ++i) values[i] *= values[i];
  }
  return cr::Tensor(array).astype(dtype).eval();
}

void describe_workload(const Json& workload, std::uint64_t seed, const State& state) {
  if (workload.contains("widths")) cr::save_npz(state.path(workload), arrays_of_network(workload, seed));
}

}  // namespace bench
