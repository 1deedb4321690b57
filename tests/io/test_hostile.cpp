// Every reader against files that were cut, changed, made up, or that promise more than they hold.

#include <sys/resource.h>
#include <sys/wait.h>
#include <zlib.h>

#include <new>
#include <random>

#include "io/json.hpp"
#include "io/support.hpp"
#include "io/toml.hpp"
#include "tensor/sanitized.hpp"

namespace chainrule::test {
namespace {

struct Format {
  const char* name;
  void (*load)(const std::string& path);
  std::vector<std::string> files;
  bool text = false;  // a part of it may be a whole of its own
};

const std::vector<Format>& formats() {
  static const std::vector<Format> all = {
      {"safetensors",
       [](const std::string& path) { load_safetensors(path); },
       {"numpy.safetensors", "torch.safetensors"}},
      {"npy",
       [](const std::string& path) { load_npy(path); },
       {"fortran.npy", "version2.npy", "bool.npy", "int16.npy", "scalar.npy"}},
      {"npz", [](const std::string& path) { load_npz(path); }, {"stored.npz", "deflated.npz"}},
      {"idx", [](const std::string& path) { load_idx(path); }, {"pixels-idx3-ubyte", "pixels-idx3-ubyte.gz"}},
      {"csv", [](const std::string& path) { read_csv(path); }, {"quoted.csv", "numbers.csv"}, true},
      {"toml", [](const std::string& path) { io::TomlReader reader(path); }, {"train.toml"}, true},
      {"json", [](const std::string& path) { io::read_json(path); }, {"values.json"}, true}};
  return all;
}

enum class Outcome { loaded, refused, other };

Outcome outcome(const Format& format, std::string_view bytes) {
  const MemoryFile file(bytes);
  try {
    format.load(file.path());
    return Outcome::loaded;
  } catch (const IoError&) {
    return Outcome::refused;
  } catch (const std::exception& error) {
    ADD_FAILURE() << format.name << ": " << error.what();
    return Outcome::other;
  }
}

class Hostile : public testing::TestWithParam<std::size_t> {
 protected:
  const Format& format() const { return formats()[GetParam()]; }
  std::vector<std::string> contents() const {
    std::vector<std::string> all;
    for (const std::string& file : format().files)
      all.push_back(read_bytes(reference(std::string(format().name) + "/" + file)));
    return all;
  }
};

TEST_P(Hostile, TruncatedAtEveryByte) {
  for (const std::string& bytes : contents()) {
    EXPECT_EQ(outcome(format(), bytes), Outcome::loaded);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const Outcome result = outcome(format(), std::string_view(bytes).substr(0, i));
      if (!format().text) {
        EXPECT_EQ(result, Outcome::refused) << i;
      }
    }
  }
}

TEST_P(Hostile, EveryByteChanged) {
  for (const std::string& bytes : contents()) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff, bytes[i] ^ 1, bytes[i] ^ 0x10, bytes[i] ^ 0x80}) {
        std::string changed = bytes;
        changed[i] = static_cast<char>(value);
        outcome(format(), changed);
      }
    }
  }
}

TEST_P(Hostile, BytesLeftOutAndPutIn) {
  for (const std::string& bytes : contents()) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      outcome(format(), std::string(bytes).erase(i, 1));
      outcome(format(), std::string(bytes).insert(i, 1, bytes[i]));
    }
    if (!format().text) {
      EXPECT_EQ(outcome(format(), bytes + '\0'), Outcome::refused);
    }
  }
}

TEST_P(Hostile, RandomBytes) {
  std::mt19937 random(GetParam() + 1);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 300, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const Outcome plain = outcome(format(), bytes);
    if (!format().text) {
      EXPECT_EQ(plain, Outcome::refused);
    }
    // Behind a right beginning, to get past the first checks. What follows may then be right by chance.
    outcome(format(), contents()[0].substr(0, random() % 40) + bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Hostile, testing::Range<std::size_t>(0, 7),
                         [](const auto& each) { return formats()[each.param].name; });

// Sanitizers reserve more address space than any limit would leave them.
constexpr bool can_limit_memory = !chainrule::is_sanitized;

// Whether `bytes` are refused by a process that may use 32 MiB more than it has.
bool refused_in_little_memory(void (*load)(const std::string&), const std::string& bytes) {
  const MemoryFile file(bytes);
  const pid_t child = ::fork();
  if (child == 0) {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + (std::size_t{32} << 20);
    const rlimit both{limit, limit};
    ::setrlimit(RLIMIT_AS, &both);
    int code = 1;
    try {
      load(file.path());
    } catch (const IoError&) {
      code = 0;
    } catch (const std::bad_alloc&) {
      code = 2;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string deflated(const std::string& bytes, int window) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

std::string little_endian(std::uint64_t value, int size) {
  return {reinterpret_cast<const char*>(&value), static_cast<std::size_t>(size)};
}

std::string npy_of(std::uint64_t elements) {
  const std::string header =
      "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(elements) + ",), }";
  return std::string("\x93NUMPY\x01\x00", 8) + little_endian(header.size(), 2) + header;
}

// An archive of one deflated entry that promises `promised` bytes.
std::string npz_of(const std::string& content, std::uint64_t promised) {
  const std::string data = deflated(content, -MAX_WBITS);
  const std::string name = "a.npy";
  const std::string common = little_endian(20, 2) + little_endian(0, 2) + little_endian(8, 2) +
                             little_endian(0, 4) + little_endian(0, 4) + little_endian(data.size(), 4) +
                             little_endian(promised, 4) + little_endian(name.size(), 2) + little_endian(0, 2);
  const std::string local = "PK\x03\x04" + common + name + data;
  const std::string directory = "PK\x01\x02" + little_endian(20, 2) + common + std::string(14, '\0') + name;
  return local + directory + "PK\x05\x06" + std::string(4, '\0') + little_endian(1, 2) + little_endian(1, 2) +
         little_endian(directory.size(), 4) + little_endian(local.size(), 4) + std::string(2, '\0');
}

TEST(Promises, AreCheckedBeforeMemoryIsTaken) {
  if (!can_limit_memory) GTEST_SKIP() << "needs a build without sanitizers";
  const auto npy = [](const std::string& path) { load_npy(path); };
  const auto npz = [](const std::string& path) { load_npz(path); };
  const auto idx = [](const std::string& path) { load_idx(path); };
  const auto safetensors = [](const std::string& path) { load_safetensors(path); };
  const std::uint64_t large = std::uint64_t{1} << 30;
  EXPECT_TRUE(refused_in_little_memory(safetensors, little_endian(large, 8) + "{}"));
  EXPECT_TRUE(refused_in_little_memory(npy, npy_of(large)));
  EXPECT_TRUE(refused_in_little_memory(npz, npz_of(npy_of(large), large + npy_of(large).size())));
  const std::string idx_header = std::string("\0\0\x08\x01\x40\0\0\0", 8);
  EXPECT_TRUE(refused_in_little_memory(idx, idx_header + "abc"));
  EXPECT_TRUE(refused_in_little_memory(idx, deflated(idx_header + "abc", MAX_WBITS + 16)));
}

// Compressed well enough that the promise of a gigabyte could be true, which only inflating can tell.
TEST(Promises, OfWellCompressedDataAreCountedFirst) {
  if (!can_limit_memory) GTEST_SKIP() << "needs a build without sanitizers";
  const std::string zeros(std::size_t{64} << 20, '\0');
  const std::string idx_header = std::string("\0\0\x08\x01\x04\0\0\1", 8);  // 64 MiB and a byte
  EXPECT_TRUE(refused_in_little_memory([](const std::string& path) { load_idx(path); },
                                       deflated(idx_header + zeros, MAX_WBITS + 16)));
  const std::string npy = npy_of(zeros.size() + 1);
  EXPECT_TRUE(refused_in_little_memory([](const std::string& path) { load_npz(path); },
                                       npz_of(npy + zeros, npy.size() + zeros.size() + 1)));
}

// What inflates beyond the promise is refused after at most one byte too many.
TEST(Promises, AreNotExceeded) {
  if (!can_limit_memory) GTEST_SKIP() << "needs a build without sanitizers";
  const std::string zeros(std::size_t{64} << 20, '\0');
  EXPECT_TRUE(
      refused_in_little_memory([](const std::string& path) { load_idx(path); },
                               deflated(std::string("\0\0\x08\x01\0\0\0\1", 8) + zeros, MAX_WBITS + 16)));
  EXPECT_TRUE(refused_in_little_memory([](const std::string& path) { load_npz(path); },
                                       npz_of(npy_of(1) + zeros, npy_of(1).size() + 1)));
}

}  // namespace
}  // namespace chainrule::test
