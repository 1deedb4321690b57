# Installs, moves the installation, and builds a program against it: with find_package and with pkg-config.
include(${CMAKE_CURRENT_LIST_DIR}/common.cmake)
file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/prefix)

run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/examples/03-embed -B ${WORK}/build -D CMAKE_BUILD_TYPE=Release
    -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/embed)
expect_match("${output}" "${EXPECTED}")

set(ENV{PKG_CONFIG_PATH} ${WORK}/prefix/${LIBDIR}/pkgconfig)
run(pkg-config --modversion chainrule)
expect_match("${output}" "^${VERSION}")
run(pkg-config --cflags --libs chainrule)
separate_arguments(flags UNIX_COMMAND "${output}")
run(${CXX} ${SOURCE}/examples/03-embed/main.cpp -o ${WORK}/by_pkg_config ${flags})
run(${CMAKE_COMMAND} -E env LD_LIBRARY_PATH=${WORK}/prefix/${LIBDIR} ${WORK}/by_pkg_config)
expect_match("${output}" "${EXPECTED}")
if(SHARED AND flags MATCHES "dnnl|hwy|libz")
  message(FATAL_ERROR "the shared library asks its users for libraries of its own: ${flags}")
endif()

if(EXISTS ${WORK}/prefix/bin/chainrule)
  run(${WORK}/prefix/bin/chainrule --version)
  expect_match("${output}" "${VERSION}")
endif()
