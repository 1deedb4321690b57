#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <chainrule/error.hpp>

namespace chainrule::fuzz {

/// Gives `bytes` to `load` as a file. An IoError is the right answer to a bad file; any other exception
/// ends the process, as does whatever a sanitizer finds.
template <typename Load>
int run(const std::uint8_t* bytes, std::size_t size, const Load& load) {
  const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, bytes, size) != static_cast<ssize_t>(size)) std::abort();
  try {
    load("/proc/self/fd/" + std::to_string(descriptor));
  } catch (const IoError&) {
  }
  ::close(descriptor);
  return 0;
}

}  // namespace chainrule::fuzz
