# One object library per folder of src/, gathered into the one library that users link.

include(CMakeParseArguments)
set(CHAINRULE_MODULES "")

set(CHAINRULE_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
    -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers $<$<BOOL:${CHAINRULE_WARNINGS_AS_ERRORS}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees overlapping copies in std::string's operator+ where there are none (GCC bug 105329).
  list(APPEND CHAINRULE_WARNINGS -Wno-restrict)
  # Its sanitizers' instrumentation makes it see uninitialized values in std::regex (documented at -Wmaybe-uninitialized).
  if("${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_DEBUG}" MATCHES "-fsanitize")
    list(APPEND CHAINRULE_WARNINGS -Wno-maybe-uninitialized)
  endif()
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_DEBUG}" MATCHES "-fsanitize")
  # DLPack's deleter takes a struct that each library declares for itself.
  add_compile_options(-fno-sanitize=function)
endif()

function(chainrule_compile_options target)
  target_compile_options(${target} PRIVATE ${CHAINRULE_WARNINGS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
endfunction()

# The presets with sanitizers compile the files of a folder as one, and CI does so with the release's tests: it saves
# much of the time of a cold build. The release compiles the library file by file, so a missing include is seen there.
# What must not be an error in files compiled as one: a file's local name may be another one's parameter.
set(CHAINRULE_UNITY_WARNINGS -Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
if(CMAKE_UNITY_BUILD)
  list(APPEND CHAINRULE_WARNINGS ${CHAINRULE_UNITY_WARNINGS})
endif()

# chainrule_alone(FOLDER names...): files that are compiled alone all the same, because a local name of theirs is
# another file's too.
function(chainrule_alone folder)
  list(TRANSFORM ARGN PREPEND ${folder}/ OUTPUT_VARIABLE sources)
  list(TRANSFORM sources APPEND .cpp)
  set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# chainrule_module(FOLDER [LINK third-party targets...] [ALONE files...]): every .cpp of src/FOLDER.
function(chainrule_module folder)
  cmake_parse_arguments(ARG "" "" "LINK;ALONE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name ${folder})
  add_library(chainrule_${name} OBJECT ${sources})
  chainrule_compile_options(chainrule_${name})
  set_target_properties(chainrule_${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(chainrule_${name} PRIVATE ${ARG_LINK})
  chainrule_alone(${PROJECT_SOURCE_DIR}/src/${folder} ${ARG_ALONE})
  set(CHAINRULE_MODULES ${CHAINRULE_MODULES} ${name} PARENT_SCOPE)
endfunction()

# Which instruction sets the kernels are compiled for. -ffp-contract=off: the kernels fuse products and sums
# where they mean to, and rely on exact differences elsewhere. 128-bit SSSE3 is left out for compile time.
function(chainrule_simd_options target)
  # A preset may lower the optimization of everything else. A plain loop that Clang cannot vectorize for one target
  # (integer division) is no mistake.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O3> -ffp-contract=off $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>)
  if(CHAINRULE_NATIVE_ONLY)
    target_compile_options(${target} PRIVATE -march=native)
    target_compile_definitions(${target} PRIVATE HWY_COMPILE_ONLY_STATIC)
  else()
    target_compile_definitions(${target} PRIVATE HWY_DISABLED_TARGETS=HWY_SSSE3)
  endif()
endfunction()

# The one library, static or shared as BUILD_SHARED_LIBS says. The objects are the same for both.
function(chainrule_library)
  list(TRANSFORM CHAINRULE_MODULES REPLACE "(.+)" "$<TARGET_OBJECTS:chainrule_\\1>" OUTPUT_VARIABLE objects)
  add_library(chainrule ${objects})
  add_library(chainrule::chainrule ALIAS chainrule)
  set_target_properties(chainrule PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR} LINKER_LANGUAGE CXX)
  target_compile_features(chainrule PUBLIC cxx_std_20)
  target_include_directories(chainrule PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(chainrule PRIVATE ${CHAINRULE_LINK})
  # What the linked libraries offer is theirs: none of it becomes a symbol of ours.
  target_link_options(chainrule PRIVATE LINKER:--exclude-libs,ALL)
endfunction()

# The objects of some modules as a static library of their own, for tests.
function(chainrule_archive name)
  list(TRANSFORM ARGN REPLACE "(.+)" "$<TARGET_OBJECTS:chainrule_\\1>" OUTPUT_VARIABLE objects)
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${objects})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${name} PRIVATE ${CHAINRULE_LINK})
endfunction()

# All of them, for tests that reach what the shared library hides.
function(chainrule_insides_library)
  if(TARGET chainrule_insides)
    return()
  endif()
  if(BUILD_SHARED_LIBS)
    chainrule_archive(chainrule_insides ${CHAINRULE_MODULES})
  else()
    add_library(chainrule_insides ALIAS chainrule)
  endif()
endfunction()
