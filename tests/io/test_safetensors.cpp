#include "io/support.hpp"

namespace chainrule::test {
namespace {

void load(const std::string& path) { load_safetensors(path); }

// A file with this header and `data` zero bytes behind it.
std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, '\0');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}";
}

TEST(Safetensors, ReadsWhatPythonWrote) {
  const Safetensors numpy = load_safetensors(reference("safetensors/numpy.safetensors"));
  expect_matches(numpy.arrays, "safetensors/numpy.safetensors");
  EXPECT_EQ(numpy.metadata.at("format"), "chainrule \"test\"");
  expect_matches(load_safetensors(reference("safetensors/torch.safetensors")).arrays,
                 "safetensors/torch.safetensors");
  // Types without a dtype of their own are widened.
  expect_matches(load_safetensors(reference("safetensors/narrow.safetensors")).arrays,
                 "safetensors/narrow.safetensors");
  EXPECT_TRUE(load_safetensors(reference("safetensors/empty.safetensors")).arrays.empty());
}

// Python can read what we write because Python would have written the very same bytes.
TEST(Safetensors, WritesTheBytesThatPythonWrites) {
  const TemporaryFolder folder;
  for (const char* name : {"numpy", "torch", "empty"}) {
    const std::string path = reference("safetensors/" + std::string(name) + ".safetensors");
    const Safetensors content = load_safetensors(path);
    save_safetensors(folder.file("copy"), content.arrays, content.metadata);
    EXPECT_EQ(read_bytes(folder.file("copy")), read_bytes(path)) << name;
  }
}

TEST(Safetensors, NamesTensorAndDtypeThatItCannotRead) {
  const ErrorParts parts =
      parts_of<IoError>([] { load_safetensors(reference("safetensors/float8.safetensors")); });
  EXPECT_EQ(parts.function, "load_safetensors");
  EXPECT_EQ(parts.argument, "eighth");
  EXPECT_TRUE(contains(parts.got, "F8_E5M2"));
  EXPECT_TRUE(contains(parts.got, "float8.safetensors, byte "));
}

TEST(Safetensors, ChecksOffsets) {
  const auto fails = [](const std::string& entries, std::size_t data, const std::string& argument) {
    const ErrorParts parts = error_of(file_of("{" + entries + "}", data), load);
    EXPECT_EQ(parts.argument, argument) << entries;
    EXPECT_FALSE(parts.wanted.empty());
  };
  fails(entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[2]", "[4,12]"), 12, "b");   // overlap
  fails(entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[2]", "[12,20]"), 20, "b");  // hole
  fails(entry("a", "F32", "[2]", "[8,0]"), 8, "a");                                               // order
  fails(entry("a", "F32", "[3]", "[0,8]"), 8, "a");                                               // size
  fails(entry("a", "F32", "[2]", "[0,8]"), 7, "a");                                               // truncated
  fails(entry("a", "F32", "[2]", "[0,8]"), 9, "");                                                // too long
  fails(entry("a", "F32", "[4611686018427387904]", "[0,0]"), 0, "a");  // 2^64 bytes
  fails(entry("a", "U8", "[4294967296,4294967296,4]", "[0,8]"), 8, "a");
  fails(entry("a", "U8", "[9223372036854775808]", "[0,8]"), 8, "a");
  fails(entry("a", "U8", "[-1]", "[0,8]"), 8, "a");
  fails(entry("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "a");
}

TEST(Safetensors, RefusesOtherStructures) {
  const std::string good = entry("a", "U8", "[1]", "[0,1]");
  const char* const headers[] = {"",
                                 " {}",
                                 "[]",
                                 "null",
                                 "{} x",
                                 "{\"a\":1}",
                                 "{\"a\":{}}",
                                 "{\"a\":{\"dtype\":\"U8\"}}",
                                 "{\"a\":[1]}",
                                 R"({"__metadata__":{"k":1}})",
                                 R"({"__metadata__":{"k":{"x":"y"}}})",
                                 R"({"__metadata__":{"k":"1","k":"2"}})",
                                 R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})",
                                 R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})",
                                 R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})",
                                 R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})",
                                 R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})",
                                 R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                                 R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})"};
  for (const char* header : headers)
    EXPECT_FALSE(error_of(file_of(header, 1), load).problem.empty()) << header;
  EXPECT_TRUE(contains(error_of(file_of("{" + good + "," + good + "}", 1), load).problem, "twice"));
  EXPECT_TRUE(contains(error_of(file_of("{" + good + "}", 0), load).got, "byte"));
}

TEST(Safetensors, ABoolIsZeroOrOne) {
  std::string bytes = file_of("{" + entry("a", "BOOL", "[2]", "[0,2]") + "}", 2);
  bytes.back() = 2;
  EXPECT_TRUE(contains(error_of(bytes, load).got, "byte " + std::to_string(bytes.size() - 1)));
}

TEST(Safetensors, RefusesToWriteWhatCannotBeRead) {
  const TemporaryFolder folder;
  const HostArray array = array_of<float>({1}, {1.0F});
  const auto save = [&](const NamedArrays& arrays, const std::map<std::string, std::string>& metadata) {
    return parts_of<ArgumentError>([&] { save_safetensors(folder.file("x"), arrays, metadata); });
  };
  EXPECT_EQ(save({{"__metadata__", array}}, {}).function, "save_safetensors");
  EXPECT_EQ(save({{"\xff", array}}, {}).argument, "arrays");
  EXPECT_EQ(save({}, {{"k", "\xff"}}).argument, "metadata");
  HostArray lying = array;
  lying.shape = {1000};
  EXPECT_EQ(save({{"w", lying}}, {}).argument, "\"w\"");
  EXPECT_EQ(folder.file_count(), 0U);
}

}  // namespace
}  // namespace chainrule::test
