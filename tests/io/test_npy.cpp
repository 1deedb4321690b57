#include "io/support.hpp"

namespace chainrule::test {
namespace {

void load(const std::string& path) { load_npy(path); }
void load_archive(const std::string& path) { load_npz(path); }

std::string npy(const std::string& header, const std::string& data) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

TEST(Npy, ReadsWhatNumpyWrote) {
  int files = 0;
  for (const auto& [name, wanted] : expected().items()) {
    if (!name.starts_with("npy/")) continue;
    expect_matches(load_npy(reference(name)), wanted, name);
    ++files;
  }
  EXPECT_EQ(files, 18);
}

TEST(Npy, WritesTheBytesThatNumpyWrites) {
  const TemporaryFolder folder;
  for (const char* name : {"float64", "float32", "bool", "uint8", "int32", "int64", "scalar", "empty"}) {
    const std::string path = reference("npy/" + std::string(name) + ".npy");
    save_npy(folder.file("copy"), load_npy(path));
    EXPECT_EQ(read_bytes(folder.file("copy")), read_bytes(path)) << name;
  }
}

TEST(Npy, SaysWhichTypesItCannotRead) {
  for (const char* name : {"complex", "text", "uint64", "object", "record"}) {
    const ErrorParts parts =
        parts_of<IoError>([&] { load_npy(reference("npy/" + std::string(name) + ".npy")); });
    EXPECT_EQ(parts.function, "load_npy");
    EXPECT_TRUE(contains(parts.wanted, "float64")) << name;
    EXPECT_TRUE(contains(parts.got, "byte 20:") || contains(parts.got, "byte 21:")) << parts.got;
  }
  EXPECT_TRUE(contains(parts_of<IoError>([] { load_npy(reference("npy/object.npy")); }).problem, "pickled"));
}

TEST(Npy, TakesHeadersThatPythonWouldTake) {
  const HostArray array = [] {
    const MemoryFile file(npy("{\"shape\": (2L ,), 'descr':'=u1', 'fortran_order': True}", "ab"));
    return load_npy(file.path());
  }();
  EXPECT_TRUE(same(array, array_of<std::uint8_t>({2}, {'a', 'b'})));
}

TEST(Npy, RefusesMalformedHeaders) {
  const char* const headers[] = {
      "",
      "{}",
      "{'descr': '<f4'}",
      "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,2}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': ()",
      "{'descr': '<f4"};
  for (const char* header : headers) {
    const ErrorParts parts = error_of(npy(header, "abcd"), load);
    EXPECT_TRUE(contains(parts.got, "byte ")) << header;
    EXPECT_FALSE(parts.wanted.empty()) << header;
  }
  const std::string fine = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}";
  EXPECT_TRUE(contains(error_of(npy(fine, "abcde"), load).problem, "more bytes follow"));
}

TEST(Npy, HasNoBfloat16) {
  const TemporaryFolder folder;
  const HostArray array = array_of<bfloat16>({1}, {bfloat16(1.0F)});
  EXPECT_TRUE(contains(parts_of<DTypeError>([&] { save_npy(folder.file("x"), array); }).hint, "float32"));
  EXPECT_EQ(parts_of<DTypeError>([&] { save_npz(folder.file("x"), {{"w", array}}); }).argument, "\"w\"");
  EXPECT_EQ(folder.file_count(), 0U);
}

TEST(Npz, ReadsWhatNumpyWrote) {
  for (const char* name : {"npz/stored.npz", "npz/deflated.npz", "npz/plain.npz"}) {
    expect_matches(load_npz(reference(name)), name);
  }
}

// plain.npz was written by Python's zipfile, whose archives Python can read.
TEST(Npz, WritesTheBytesThatPythonsZipfileWrites) {
  const TemporaryFolder folder;
  save_npz(folder.file("copy"), load_npz(reference("npz/plain.npz")));
  EXPECT_EQ(read_bytes(folder.file("copy")), read_bytes(reference("npz/plain.npz")));
}

TEST(Npz, RoundTripsAwkwardNamesAndShapes) {
  const TemporaryFolder folder;
  const NamedArrays arrays = {{"ü/ö", array_of<double>({}, {1.5})},
                              {"empty", HostArray{DType::float32, {0, 3}, {}}},
                              {".npy", array_of<bool>({2}, {true, false})}};
  save_npz(folder.file("x"), arrays);
  const NamedArrays back = load_npz(folder.file("x"));
  ASSERT_EQ(back.size(), arrays.size());
  for (const auto& [name, array] : arrays) EXPECT_TRUE(same(back.at(name), array)) << name;
  save_npz(folder.file("none"), {});
  EXPECT_TRUE(load_npz(folder.file("none")).empty());
  EXPECT_EQ(parts_of<ArgumentError>([&] {
              save_npz(folder.file("y"), {{"", arrays.at("empty")}});
            }).function,
            "save_npz");
}

// Sets `size` bytes at `at` of a copy.
std::string patched(std::string bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  std::memcpy(bytes.data() + at, &value, size);
  return bytes;
}

TEST(Npz, ChecksTheDirectory) {
  const std::string good = read_bytes(reference("npz/plain.npz"));
  const std::size_t directory = good.find("PK\x01\x02");
  const std::size_t second = good.find("PK\x01\x02", directory + 1);
  const std::size_t end = good.find("PK\x05\x06");
  const auto problem = [](const std::string& bytes) { return error_of(bytes, load_archive).problem; };
  EXPECT_TRUE(contains(problem(patched(good, directory + 8, 1, 2)), "encrypted"));
  EXPECT_TRUE(contains(problem(patched(good, directory + 10, 12, 2)), "method"));
  EXPECT_TRUE(contains(problem(patched(good, directory + 16, 1, 4)), "damaged"));
  EXPECT_TRUE(contains(problem(patched(good, directory + 24, 0xffffffff, 4)), "64-bit"));
  EXPECT_TRUE(contains(problem(patched(good, end + 10, 0xffff, 2)), "64-bit"));
  EXPECT_TRUE(contains(problem(patched(good, directory + 20, 0x100000001ULL * 700, 8)), "reaches into"));
  EXPECT_TRUE(contains(problem(patched(good, second + 42, 0, 4)), "stands where"));  // the first one's place
  EXPECT_TRUE(contains(problem(patched(good, second + 46, 'a', 1)), "twice"));
  EXPECT_TRUE(contains(problem(patched(good, directory + 46 + 4, 'x', 1)), "not an array"));
  EXPECT_FALSE(problem(patched(good, end + 12, 10, 4)).empty());
  EXPECT_FALSE(problem(patched(good, end + 8, 0x00020002, 4)).empty());
  EXPECT_FALSE(problem("").empty());
}

}  // namespace
}  // namespace chainrule::test
