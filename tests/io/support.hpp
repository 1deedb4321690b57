#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/error.hpp>
#include <chainrule/io.hpp>

namespace chainrule::test {

inline std::string reference(const std::string& name) {
  return std::string(CHAINRULE_SOURCE_DIR) + "/tests/reference/io/" + name;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline const nlohmann::json& expected() {
  static const auto json = nlohmann::json::parse(read_bytes(reference("expected.json")));
  return json;
}

/// A file in memory that holds `bytes`; cheap enough to make thousands of.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("test", MFD_CLOEXEC)) {
    EXPECT_EQ(::write(descriptor_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// A folder for one test, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "chainrule-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::size_t file_count() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

template <Element T>
HostArray array_of(const Shape& shape, std::initializer_list<T> values) {
  const HostArray array = HostArray::uninitialized(dtype_of<T>(), shape);
  EXPECT_EQ(array.size(), static_cast<std::int64_t>(values.size()));
  std::copy(values.begin(), values.end(), array.data<T>());
  return array;
}

inline bool same(const HostArray& a, const HostArray& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         (a.bytes() == 0 || std::memcmp(a.buffer.data(), b.buffer.data(), a.bytes()) == 0);
}

inline double as_double(const HostArray& array, std::int64_t i) {
  switch (array.dtype) {
    case DType::bfloat16:
      return static_cast<double>(static_cast<float>(array.data<bfloat16>()[i]));
    case DType::float32:
      return static_cast<double>(array.data<float>()[i]);
    default:
      return array.data<double>()[i];
  }
}

inline std::int64_t as_int64(const HostArray& array, std::int64_t i) {
  switch (array.dtype) {
    case DType::boolean:
      return array.data<bool>()[i] ? 1 : 0;
    case DType::uint8:
      return array.data<std::uint8_t>()[i];
    case DType::int32:
      return array.data<std::int32_t>()[i];
    default:
      return array.data<std::int64_t>()[i];
  }
}

/// Exactly what the generator wrote: dtype, shape, every value with its sign.
inline void expect_matches(const HostArray& array, const nlohmann::json& wanted, const std::string& name) {
  EXPECT_EQ(dtype_name(array.dtype), wanted["dtype"].get<std::string>()) << name;
  const auto shape = wanted["shape"].get<std::vector<std::int64_t>>();
  ASSERT_EQ(array.shape, Shape(std::span<const std::int64_t>(shape))) << name;
  for (std::int64_t i = 0; i < array.size(); ++i) {
    const auto& value = wanted["values"][static_cast<std::size_t>(i)];
    if (is_floating(array.dtype)) {
      const double number = std::strtod(value.get<std::string>().c_str(), nullptr);
      EXPECT_EQ(as_double(array, i), number) << name << " " << i;
      EXPECT_EQ(std::signbit(as_double(array, i)), std::signbit(number)) << name << " " << i;
    } else {
      EXPECT_EQ(as_int64(array, i), value.get<std::int64_t>()) << name << " " << i;
    }
  }
}

inline void expect_matches(const NamedArrays& arrays, const std::string& name) {
  const auto& wanted = expected()[name];
  EXPECT_EQ(arrays.size(), wanted.size()) << name;
  for (const auto& [key, array] : arrays) {
    ASSERT_TRUE(wanted.contains(key)) << name << ": " << key;
    expect_matches(array, wanted[key], name + ": " + key);
  }
}

/// The parts of the error that `call` throws, which must be an `E`.
template <typename E>
ErrorParts parts_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const E& error) {
    return error.parts();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

template <typename E = IoError>
ErrorParts error_of(std::string_view bytes, const std::function<void(const std::string&)>& load) {
  const MemoryFile file(bytes);
  return parts_of<E>([&] { load(file.path()); });
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace chainrule::test
