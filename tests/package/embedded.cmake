# Chainrule as part of another project's build: FetchContent and add_subdirectory.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
set(arguments -G Ninja -S ${SOURCE}/examples/04-subproject -D CMAKE_BUILD_TYPE=Release -D CMAKE_CXX_COMPILER=${CXX}
    -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} -D CHAINRULE_WARNINGS_AS_ERRORS=ON)
file(REMOVE ${WORK}/build/subproject)
run(${CMAKE_COMMAND} ${arguments} -B ${WORK}/build -D USE_FETCHCONTENT=ON)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/subproject)
expect_readme("${output}" 04-subproject)
# In the same folder: the objects of the library are the same, and are not compiled again.
file(REMOVE ${WORK}/build/subproject)
run(${CMAKE_COMMAND} ${arguments} -B ${WORK}/build -D USE_FETCHCONTENT=OFF)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/subproject)
expect_readme("${output}" 04-subproject)
# A part of another build brings no tests, no program and no install rules of its own.
run(${CMAKE_COMMAND} --build ${WORK}/build --target help)
if(output MATCHES "test_kernels|chainrule_cli")
  message(FATAL_ERROR "tests or programs in another project's build:\n${output}")
endif()
