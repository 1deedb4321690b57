# The libraries that the finished library links. Used by the build, and installed for programs that link the
# static library: a static library's users link what it uses.

find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)

# Neither Highway's CMake file (empty in Debian) nor oneDNN's (asks for OpenCL) can be used; the OpenMP runtime
# is the one that oneDNN brings along, by its own name, since Clang's is another one.
function(chainrule_linked_library target header)
  if(TARGET ${target})
    return()
  endif()
  string(MAKE_C_IDENTIFIER "CHAINRULE_${target}" variable)
  find_library(${variable}_LIBRARY NAMES ${ARGN} REQUIRED)
  mark_as_advanced(${variable}_LIBRARY)
  add_library(${target} UNKNOWN IMPORTED)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${${variable}_LIBRARY}")
  if(header)
    find_path(${variable}_INCLUDE ${header} REQUIRED)
    mark_as_advanced(${variable}_INCLUDE)
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${${variable}_INCLUDE}")
  endif()
endfunction()

chainrule_linked_library(hwy::hwy hwy/highway.h hwy)
chainrule_linked_library(DNNL::dnnl oneapi/dnnl/dnnl.hpp dnnl)
chainrule_linked_library(chainrule::gomp "" libgomp.so.1 gomp)

set(CHAINRULE_LINK DNNL::dnnl chainrule::gomp hwy::hwy ZLIB::ZLIB Threads::Threads)
