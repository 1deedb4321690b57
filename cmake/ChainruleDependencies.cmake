# Every third-party package is found here and nowhere else. All of them come from Debian 12.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(tomlplusplus CONFIG REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
add_library(hwy::hwy ALIAS PkgConfig::HWY)
# Debian's dnnl-config.cmake asks for OpenCL, which the CPU build does not need.
find_library(CHAINRULE_DNNL dnnl REQUIRED)
find_path(CHAINRULE_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp REQUIRED)
# The OpenMP runtime that oneDNN brings along, by its own name: Clang's is another one.
find_library(CHAINRULE_GOMP NAMES libgomp.so.1 gomp REQUIRED)
find_library(CHAINRULE_OPENBLAS openblas REQUIRED)
find_library(CHAINRULE_LAPACKE lapacke REQUIRED)
set(CHAINRULE_BLAS ${CHAINRULE_OPENBLAS} ${CHAINRULE_LAPACKE})

# What the finished library links. None of it appears in the interface of chainrule::chainrule
# beyond what a static link needs.
set(CHAINRULE_LINK ${CHAINRULE_DNNL} ${CHAINRULE_GOMP} ${CHAINRULE_BLAS} PkgConfig::HWY ZLIB::ZLIB Threads::Threads)
