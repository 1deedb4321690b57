# The libraries that the finished library links. Used by the build, and installed for programs that link the
# static library: a static library's users link what it uses.

find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)

# Highway's own CMake file is empty in Debian 12.
function(chainrule_linked_library target header)
  if(TARGET ${target})
    return()
  endif()
  string(MAKE_C_IDENTIFIER "CHAINRULE_${target}" variable)
  find_library(${variable}_LIBRARY NAMES ${ARGN} REQUIRED)
  mark_as_advanced(${variable}_LIBRARY)
  add_library(${target} UNKNOWN IMPORTED)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${${variable}_LIBRARY}")
  find_path(${variable}_INCLUDE ${header} REQUIRED)
  mark_as_advanced(${variable}_INCLUDE)
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${${variable}_INCLUDE}")
endfunction()

chainrule_linked_library(hwy::hwy hwy/highway.h hwy)

set(CHAINRULE_LINK hwy::hwy ZLIB::ZLIB Threads::Threads)
