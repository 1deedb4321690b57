# One object library per folder of src/, gathered into the one library that users link.

include(CMakeParseArguments)
set(CHAINRULE_MODULES "" CACHE INTERNAL "")

set(CHAINRULE_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees overlapping copies in std::string's operator+ where there are none (GCC bug 105329).
  list(APPEND CHAINRULE_WARNINGS -Wno-restrict)
endif()

function(chainrule_compile_options target)
  target_compile_options(${target} PRIVATE ${CHAINRULE_WARNINGS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
endfunction()

# chainrule_module(FOLDER [LINK third-party targets...]): every .cpp of src/FOLDER.
function(chainrule_module folder)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name ${folder})
  add_library(chainrule_${name} OBJECT ${sources})
  chainrule_compile_options(chainrule_${name})
  set_target_properties(chainrule_${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(chainrule_${name} PRIVATE ${ARG_LINK})
  if(NOT BUILD_SHARED_LIBS)
    target_compile_definitions(chainrule_${name} PRIVATE CHAINRULE_STATIC)
  endif()
  set(CHAINRULE_MODULES ${CHAINRULE_MODULES} ${name} CACHE INTERNAL "")
endfunction()

# Which instruction sets the kernels are compiled for. -ffp-contract=off: the kernels fuse products and sums
# where they mean to, and rely on exact differences elsewhere. 128-bit SSSE3 is left out for compile time.
function(chainrule_simd_options target)
  # A plain loop that Clang cannot vectorize for one target (integer division) is no mistake.
  target_compile_options(${target} PRIVATE -ffp-contract=off $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>)
  if(CHAINRULE_NATIVE_ONLY)
    target_compile_options(${target} PRIVATE -march=native)
    target_compile_definitions(${target} PRIVATE HWY_COMPILE_ONLY_STATIC)
  else()
    target_compile_definitions(${target} PRIVATE HWY_DISABLED_TARGETS=HWY_SSSE3)
  endif()
endfunction()

function(chainrule_library)
  set(objects "")
  foreach(name ${CHAINRULE_MODULES})
    list(APPEND objects $<TARGET_OBJECTS:chainrule_${name}>)
  endforeach()
  add_library(chainrule ${objects})
  add_library(chainrule::chainrule ALIAS chainrule)
  set_target_properties(chainrule PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINKER_LANGUAGE CXX)
  target_compile_features(chainrule PUBLIC cxx_std_20)
  if(NOT BUILD_SHARED_LIBS)
    target_compile_definitions(chainrule PUBLIC CHAINRULE_STATIC)
  endif()
  target_include_directories(chainrule PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_link_libraries(chainrule PRIVATE ${CHAINRULE_LINK})
endfunction()
