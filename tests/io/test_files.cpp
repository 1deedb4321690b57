// What all formats share: atomic writing, hashes, JSON, files that can't be opened.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "io/atomic_file.hpp"
#include "io/json.hpp"
#include "io/support.hpp"

namespace chainrule::test {
namespace {

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(AtomicFile, ReplacesTheOldFileAtOnce) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x");
  write_bytes(path, "old");
  ::chmod(path.c_str(), 0640);
  {
    io::AtomicFile file(path, "test");
    file.write("new content");
    EXPECT_EQ(read_bytes(path), "old");
    file.commit();
  }
  EXPECT_EQ(read_bytes(path), "new content");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0640U);
  EXPECT_EQ(folder.file_count(), 1U);
}

TEST(AtomicFile, WithoutCommitNothingHappens) {
  const TemporaryFolder folder;
  write_bytes(folder.file("x"), "old");
  {
    io::AtomicFile file(folder.file("x"), "test");
    file.write("new");
  }
  EXPECT_EQ(read_bytes(folder.file("x")), "old");
  EXPECT_EQ(folder.file_count(), 1U);
}

TEST(AtomicFile, FollowsLinks) {
  const TemporaryFolder folder;
  write_bytes(folder.file("target"), "old");
  std::filesystem::create_symlink(folder.file("target"), folder.file("link"));
  io::write_file(folder.file("link"), "new", "test");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(read_bytes(folder.file("target")), "new");
}

TEST(AtomicFile, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  const HostArray array = array_of<float>({1}, {1.0F});
  for (const std::string& path : {folder.file(""), folder.file("none/x"), std::string("/dev/null"),
                                  std::string(), std::string("/tmp/a\0b", 8)}) {
    const ErrorParts parts = parts_of<IoError>([&] { save_npy(path, array); });
    EXPECT_EQ(parts.function, "save_npy") << path;
    EXPECT_EQ(parts.argument, "path") << path;
  }
  EXPECT_EQ(folder.file_count(), 0U);
}

// A process of its own, in which `body` says with its return value whether all went well.
bool succeeds_in_child(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool fine = false;
    try {
      fine = body();
    } catch (...) {
    }
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  const HostArray large = HostArray::uninitialized(DType::uint8, {1 << 20});
  std::memset(large.buffer.data(), 1, large.bytes());
  const HostArray small = array_of<float>({1}, {1.0F});
  const std::string path = folder.file("x");
  save_safetensors(path, {{"w", small}});
  EXPECT_TRUE(succeeds_in_child([&] {
    // The limit on a file's size stands for the full disk.
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save_safetensors(path, {{"w", large}});
    } catch (const IoError&) {
      return true;
    }
    return false;
  }));
  EXPECT_TRUE(same(load_safetensors(path).arrays.at("w"), small));
  EXPECT_EQ(folder.file_count(), 1U);
}

TEST(AtomicFile, AKilledWriterLeavesTheOldFile) {
  const TemporaryFolder folder;
  write_bytes(folder.file("x"), "old");
  succeeds_in_child([&] {
    io::AtomicFile file(folder.file("x"), "test");
    file.write("half of ");
    std::raise(SIGKILL);
    return true;
  });
  EXPECT_EQ(read_bytes(folder.file("x")), "old");
  // What it left behind stops nobody.
  io::write_file(folder.file("x"), "new", "test");
  EXPECT_EQ(read_bytes(folder.file("x")), "new");
}

TEST(InputFile, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  for (const std::string& path :
       {folder.file("none"), folder.file(""), folder.file("pipe"), std::string("/dev/zero"), std::string()}) {
    const ErrorParts parts = parts_of<IoError>([&] { load_npy(path); });
    EXPECT_EQ(parts.function, "load_npy");
    EXPECT_EQ(parts.argument, "path");
    EXPECT_EQ(parts.got, path);
  }
}

// NIST's examples for SHA-256 (FIPS 180), and the lengths around a block from Python's hashlib.
TEST(FileHash, AgreesWithSha256) {
  const auto hash = [](const std::string& bytes) {
    const MemoryFile file(bytes);
    return file_hash(file.path());
  };
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(hash(std::string(55, 'a')), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(hash(std::string(64, 'a')), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  EXPECT_EQ(hash(std::string(65536, 'a')),
            "bf718b6f653bebc184e1479f1935b8da974d701b893afcf49e701f3e2f9f9c5a");
}

TEST(Json, AnIntegerIsOneThatFits) {
  const io::Json json =
      io::parse_json(R"([1e300, -1, 2.0, 300, 9223372036854775807, 18446744073709551615, true])", "x");
  EXPECT_THROW(json[0].get<std::int64_t>(), nlohmann::json::exception);
  EXPECT_THROW(json[0].get<int>(), nlohmann::json::exception);
  EXPECT_THROW(json[1].get<std::size_t>(), nlohmann::json::exception);
  EXPECT_THROW(json[2].get<int>(), nlohmann::json::exception);
  EXPECT_THROW(json[3].get<std::uint8_t>(), nlohmann::json::exception);
  EXPECT_THROW(json[4].get<std::int32_t>(), nlohmann::json::exception);
  EXPECT_THROW(json[5].get<std::int64_t>(), nlohmann::json::exception);
  EXPECT_THROW(json.get<std::vector<std::int64_t>>(), nlohmann::json::exception);
  EXPECT_EQ(json[1].get<std::int64_t>(), -1);
  EXPECT_EQ(json[3].get<std::uint16_t>(), 300);
  EXPECT_EQ(json[4].get<std::int64_t>(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(json[5].get<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(json[0].get<double>(), 1e300);
  EXPECT_EQ(json[3].get<double>(), 300);
  EXPECT_TRUE(json[6].get<bool>());
}

TEST(Json, ReadsAndNamesTheLine) {
  const io::Json value = io::read_json(reference("json/values.json"));
  EXPECT_EQ(value["a"][1], 2.5);
  EXPECT_EQ(value["b"]["c"], "text é");
  EXPECT_TRUE(
      contains(parts_of<IoError>([] { io::parse_json("{\n\"a\": 1,\n}", "x.json"); }).got, "x.json, line 3"));
  EXPECT_TRUE(contains(error_of(R"({"a": "\xff"})", [](auto& path) { io::read_json(path); }).got, "line 1"));
}

TEST(Json, DeepNestingIsAnError) {
  EXPECT_NO_THROW(io::parse_json(std::string(60, '[') + std::string(60, ']'), "x"));
  EXPECT_TRUE(
      contains(parts_of<IoError>([] { io::parse_json(std::string(1'000'000, '['), "x"); }).problem, "deep"));
}

TEST(Json, LinesLeaveOutAHalfWrittenOne) {
  const MemoryFile file("{\"step\":1}\n\n{\"step\":2}\r\n{\"st");
  const auto values = io::read_json_lines(file.path());
  ASSERT_EQ(values.size(), 2U);
  EXPECT_EQ(values[1]["step"], 2);
  EXPECT_TRUE(contains(error_of("1\n{\n3\n", [](auto& path) { io::read_json_lines(path); }).got, "line 2"));
}

TEST(Json, Writes) {
  const TemporaryFolder folder;
  const io::Json value = {{"b", 0.1}, {"a", {1, 2}}, {"text", "\xff"}};
  io::write_json(folder.file("x.json"), value);
  const io::Json back = io::read_json(folder.file("x.json"));
  EXPECT_EQ(back["b"], 0.1);
  EXPECT_EQ(back.begin().key(), "b");
  EXPECT_EQ(back["text"], "\xef\xbf\xbd");
}

}  // namespace
}  // namespace chainrule::test
