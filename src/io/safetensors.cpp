// The safetensors format: 8 bytes N (little endian), N bytes of JSON, then the tensors' bytes.
// The JSON names each tensor's dtype, shape and [begin, end) among those bytes.

#include <algorithm>
#include <cstring>
#include <limits>

#include <nlohmann/json.hpp>

#include <chainrule/io.hpp>
#include <chainrule/text.hpp>

#include "io/atomic_file.hpp"
#include "io/elements.hpp"
#include "io/safetensors_header.hpp"

namespace chainrule {
namespace {

using io::FileContext;
using io::SafetensorsEntry;
using io::WireType;

constexpr std::uint64_t largest_header = 100'000'000;  // Python's library has the same limit

struct TypeName {
  const char* name;
  WireType type;
};
// Those with a dtype of their own come first: they are what is written.
constexpr TypeName type_names[] = {
    {"BOOL", WireType::boolean}, {"U8", WireType::uint8},      {"I32", WireType::int32},
    {"I64", WireType::int64},    {"BF16", WireType::bfloat16}, {"F32", WireType::float32},
    {"F64", WireType::float64},  {"F16", WireType::float16},   {"I8", WireType::int8},
    {"I16", WireType::int16},    {"U16", WireType::uint16},    {"U32", WireType::uint32}};

WireType wire_type(const FileContext& context, const SafetensorsEntry& entry) {
  for (const TypeName& known : type_names) {
    if (entry.dtype == known.name) return known.type;
  }
  context.fail(entry.byte, "a tensor has a dtype that can't be read", quote(entry.dtype),
               "BOOL, U8, U16, U32, I8, I16, I32, I64, F16, BF16, F32 or F64", entry.name);
}

const char* type_name(DType dtype) {
  for (const TypeName& known : type_names) {
    if (widened_dtype(known.type) == dtype) return known.name;
  }
  return "";
}

// Bytes that the entry's shape takes, or a number that no file has where they would not fit 64 bits.
std::uint64_t shape_bytes(const FileContext& context, const SafetensorsEntry& entry, WireType type) {
  try {
    const auto count = static_cast<std::uint64_t>(element_count(entry.shape));
    const std::uint64_t size = wire_size(type);
    return count > std::numeric_limits<std::uint64_t>::max() / size
               ? std::numeric_limits<std::uint64_t>::max()
               : count * size;
  } catch (const ShapeError&) {
    context.fail(entry.byte, "a tensor's shape is impossible", to_string(entry.shape),
                 "lengths of at least 0 whose product is at most 2^62", entry.name);
  }
}

// The tensors must cover the data from first to last byte, one after the other, without holes: then they
// do not overlap either, and their sizes add up to no more than the file's.
void check_layout(const FileContext& context, std::vector<SafetensorsEntry>& entries,
                  std::uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::string span = "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]";
    if (entry.begin != expected || entry.end < entry.begin) {
      context.fail(entry.byte, "a tensor does not begin where the one before it ends", span,
                   "data_offsets from " + std::to_string(expected), entry.name);
    }
    if (entry.end > data_bytes) {
      context.fail(entry.byte, "a tensor's data lie behind the end of the file", span,
                   "at most " + std::to_string(data_bytes), entry.name);
    }
    const std::uint64_t bytes = shape_bytes(context, entry, wire_type(context, entry));
    if (entry.end - entry.begin != bytes) {
      context.fail(entry.byte, "a tensor's data_offsets do not fit its shape and dtype",
                   span + " for " + entry.dtype + " " + to_string(entry.shape),
                   std::to_string(bytes) + " bytes", entry.name);
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    context.fail(data_bytes, "the file is longer than its tensors",
                 std::to_string(data_bytes) + " bytes of data", std::to_string(expected) + " bytes");
  }
}

std::string read_header(const io::InputFile& file) {
  if (file.size() < 8) {
    file.context().fail(0, "the file is too short for safetensors", std::to_string(file.size()) + " bytes",
                        "at least 8 bytes");
  }
  std::uint64_t length = 0;
  file.read(0, &length, 8);
  const std::uint64_t most = std::min(file.size() - 8, largest_header);
  if (length > most) {
    file.context().fail(0, "the header is longer than the file or the format's limit",
                        std::to_string(length) + " bytes", "at most " + std::to_string(most) + " bytes");
  }
  std::string header(static_cast<std::size_t>(length), '\0');
  file.read(8, header.data(), header.size());
  return header;
}

struct Layout {
  std::vector<const NamedArrays::value_type*> order;
  std::string header;  // with its padding
};

void check_text(const std::string& text, const std::string& what) {
  if (is_utf8(text)) return;
  throw ArgumentError({.function = "save_safetensors",
                       .argument = what,
                       .problem = "the text is not UTF-8",
                       .got = quote(text),
                       .wanted = "UTF-8"});
}

std::string json_string(const std::string& text) { return nlohmann::json(text).dump(); }

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += ',';
    text += item;
  }
  return text;
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::vector<std::string> members;
  for (const auto& [key, value] : metadata) {
    check_text(key, "metadata");
    check_text(value, "metadata");
    members.push_back(json_string(key) + ":" + json_string(value));
  }
  return "{" + joined(members) + "}";
}

std::string entry_text(const std::string& name, const HostArray& array, std::uint64_t begin,
                       std::uint64_t end) {
  std::vector<std::string> lengths;
  for (const std::int64_t length : array.shape) lengths.push_back(std::to_string(length));
  return json_string(name) + ":{\"dtype\":\"" + type_name(array.dtype) + "\",\"shape\":[" + joined(lengths) +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

// Python's library writes the tensors of the widest dtypes first and pads the header to 8 bytes: then
// every tensor is aligned to its own dtype. Within a dtype the names are in order.
Layout lay_out(const NamedArrays& arrays, const std::map<std::string, std::string>& metadata) {
  Layout layout;
  for (const auto& named : arrays) {
    check_text(named.first, "arrays");
    if (named.first == "__metadata__") {
      throw ArgumentError({.function = "save_safetensors",
                           .argument = "arrays",
                           .problem = "the name is reserved by the format",
                           .got = quote(named.first),
                           .wanted = "another name"});
    }
    io::check_writable(named.second, "save_safetensors", quote(named.first));
    layout.order.push_back(&named);
  }
  // The library's own order of dtypes.
  static constexpr DType widest_first[] = {DType::int64,    DType::float64, DType::float32, DType::int32,
                                           DType::bfloat16, DType::uint8,   DType::boolean};
  const auto rank = [](DType dtype) {
    return std::find(std::begin(widest_first), std::end(widest_first), dtype);
  };
  std::stable_sort(layout.order.begin(), layout.order.end(), [&](const auto* a, const auto* b) {
    return rank(a->second.dtype) < rank(b->second.dtype);
  });

  std::vector<std::string> members;
  if (!metadata.empty()) members.push_back("\"__metadata__\":" + metadata_text(metadata));
  std::uint64_t offset = 0;
  for (const auto* named : layout.order) {
    const std::uint64_t end = offset + named->second.bytes();
    members.push_back(entry_text(named->first, named->second, offset, end));
    offset = end;
  }
  layout.header = "{" + joined(members) + "}";
  layout.header.resize((layout.header.size() + 7) / 8 * 8, ' ');
  return layout;
}

}  // namespace

Safetensors load_safetensors(const std::string& path) {
  const io::InputFile file({"load_safetensors", path});
  const std::string text = read_header(file);
  Safetensors result;
  auto entries = io::parse_safetensors_header(file.context(), text, result.metadata);
  const std::uint64_t data_begin = 8 + text.size();
  check_layout(file.context(), entries, file.size() - data_begin);
  for (const SafetensorsEntry& entry : entries) {
    const auto reader = io::file_range_reader(file, data_begin + entry.begin, entry.end - entry.begin);
    const std::string what = "tensor " + quote(entry.name);
    result.arrays[entry.name] =
        io::read_array(*reader, {wire_type(file.context(), entry)}, entry.shape, what.c_str());
  }
  return result;
}

void save_safetensors(const std::string& path, const NamedArrays& arrays,
                      const std::map<std::string, std::string>& metadata) {
  const Layout layout = lay_out(arrays, metadata);
  const std::uint64_t length = layout.header.size();
  if (length > largest_header) {
    throw ArgumentError({.function = "save_safetensors",
                         .argument = "arrays",
                         .problem = "the header passes the format's limit",
                         .got = std::to_string(length) + " bytes of names and metadata",
                         .wanted = "at most " + std::to_string(largest_header) + " bytes"});
  }
  io::AtomicFile file(path, "save_safetensors");
  file.write(&length, 8);
  file.write(layout.header);
  for (const auto* named : layout.order) file.write(named->second.buffer.data(), named->second.bytes());
  file.commit();
}

}  // namespace chainrule
