// NPZ: a ZIP archive whose entries are NPY files.

#include <algorithm>

#include <chainrule/io.hpp>
#include <chainrule/text.hpp>

#include "io/atomic_file.hpp"
#include "io/elements.hpp"
#include "io/npy.hpp"
#include "io/zip.hpp"

namespace chainrule {
namespace {

constexpr std::string_view suffix = ".npy";
constexpr std::uint64_t most_bytes = 0xfffffffe;  // above, a field of 32 bits means the 64-bit extension
constexpr std::size_t most_entries = 0xfffe;
constexpr std::size_t longest_name = 1000;

// An entry about to be written.
struct Member {
  std::string name;  // with the suffix
  std::string npy_header;
  const HostArray* array = nullptr;
  std::uint32_t crc = 0;
  std::uint32_t bytes = 0;
  std::uint32_t offset = 0;
};

void append(std::string& to, std::uint32_t value, int size) {
  for (int i = 0; i < size; ++i) to += static_cast<char>(value >> (8 * i) & 255);
}

// The fields that an entry's own header and the directory share.
void append_common(std::string& to, const Member& member) {
  const bool ascii = std::all_of(member.name.begin(), member.name.end(),
                                 [](char c) { return static_cast<signed char>(c) >= 0; });
  append(to, 20, 2);                   // the version that readers need
  append(to, ascii ? 0U : 0x800U, 2);  // the name is UTF-8
  append(to, 0, 2);                    // stored
  append(to, 0, 2);                    // time and date: always 1 January 1980, so that equal arrays
  append(to, 0x21, 2);                 // make equal files
  append(to, member.crc, 4);
  append(to, member.bytes, 4);
  append(to, member.bytes, 4);
  append(to, static_cast<std::uint32_t>(member.name.size()), 2);
  append(to, 0, 2);  // no extra field
}

std::string local_header(const Member& member) {
  std::string header;
  append(header, 0x04034b50, 4);
  append_common(header, member);
  return header + member.name;
}

std::string directory_entry(const Member& member) {
  std::string entry;
  append(entry, 0x02014b50, 4);
  append(entry, 20, 2);  // made by: FAT, version 2.0
  append_common(entry, member);
  append(entry, 0, 2);  // no comment
  append(entry, 0, 2);  // first disk
  append(entry, 0, 2);  // attributes
  append(entry, 0, 4);
  append(entry, member.offset, 4);
  return entry + member.name;
}

std::string end_record(std::size_t entries, std::size_t directory_bytes, std::uint64_t directory_begin) {
  std::string record;
  append(record, 0x06054b50, 4);
  append(record, 0, 4);  // a single disk
  append(record, static_cast<std::uint32_t>(entries), 2);
  append(record, static_cast<std::uint32_t>(entries), 2);
  append(record, static_cast<std::uint32_t>(directory_bytes), 4);
  append(record, static_cast<std::uint32_t>(directory_begin), 4);
  append(record, 0, 2);  // no comment
  return record;
}

[[noreturn]] void refuse(const std::string& problem, const std::string& came, const std::string& wanted) {
  throw ArgumentError(
      {.function = "save_npz", .argument = "arrays", .problem = problem, .got = came, .wanted = wanted});
}

Member make_member(const std::string& name, const HostArray& array) {
  if (name.empty() || name.size() > longest_name || !is_utf8(name) || name.find('\0') != std::string::npos) {
    refuse("a name can't be used in an archive", quote(name), "1 to 1000 bytes of UTF-8");
  }
  io::check_writable(array, "save_npz", quote(name));
  Member member{.name = name + std::string(suffix),
                .npy_header = io::npy_header(array, "save_npz", quote(name)),
                .array = &array};
  const std::uint64_t bytes = member.npy_header.size() + array.bytes();
  if (bytes > most_bytes) refuse("an array is too large for NPZ", quote(name), "less than 4 GiB");
  member.bytes = static_cast<std::uint32_t>(bytes);
  member.crc = io::crc32_of(io::crc32_of(0, member.npy_header.data(), member.npy_header.size()),
                            array.buffer.data(), array.bytes());
  return member;
}

}  // namespace

NamedArrays load_npz(const std::string& path) {
  const io::InputFile file({"load_npz", path});
  NamedArrays arrays;
  for (const io::ZipEntry& entry : io::read_zip_directory(file)) {
    std::string name = entry.name;
    if (!name.ends_with(suffix)) {
      file.context().fail(entry.header, "an entry of the archive is not an array", quote(name),
                          "names that end in .npy");
    }
    name.resize(name.size() - suffix.size());
    io::ZipEntryReader reader(file, entry);
    const std::string what = "entry " + quote(entry.name);
    HostArray array = io::read_npy(reader, what.c_str());
    reader.finish();
    arrays.emplace(std::move(name), std::move(array));
  }
  return arrays;
}

void save_npz(const std::string& path, const NamedArrays& arrays) {
  if (arrays.size() > most_entries) {
    refuse("too many arrays", std::to_string(arrays.size()), "at most " + std::to_string(most_entries));
  }
  std::vector<Member> members;
  std::uint64_t total = 0;
  for (const auto& [name, array] : arrays) {
    Member member = make_member(name, array);
    member.offset = static_cast<std::uint32_t>(total);
    total += local_header(member).size() + member.bytes;
    if (total > most_bytes) refuse("the archive is too large for NPZ", quote(name), "less than 4 GiB in all");
    members.push_back(std::move(member));
  }
  std::string directory;
  for (const Member& member : members) directory += directory_entry(member);
  if (total + directory.size() > most_bytes)
    refuse("the archive is too large for NPZ", "", "less than 4 GiB");

  io::AtomicFile file(path, "save_npz");
  for (const Member& member : members) {
    file.write(local_header(member));
    file.write(member.npy_header);
    file.write(member.array->buffer.data(), member.array->bytes());
  }
  file.write(directory);
  file.write(end_record(members.size(), directory.size(), total));
  file.commit();
}

}  // namespace chainrule
