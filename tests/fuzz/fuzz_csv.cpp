#include <chainrule/io.hpp>

#include "fuzz.hpp"

// With every way to treat the first row, and another delimiter.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using chainrule::CsvHeader;
  const std::size_t mode = size % 3;
  const chainrule::CsvOptions options{.delimiter = size % 2 == 0 ? ',' : ';',
                                      .header = mode == 0   ? CsvHeader::yes
                                                : mode == 1 ? CsvHeader::no
                                                            : CsvHeader::automatic};
  return chainrule::fuzz::run(bytes, size,
                              [&](const std::string& path) { chainrule::read_csv(path, options); });
}
