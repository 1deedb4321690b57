# Runs an example and compares what it prints with its README.
include(${CMAKE_CURRENT_LIST_DIR}/../package/common.cmake)
run(${PROGRAM})
if(NOT DIGITS)
  set(SAME_DIGITS OFF)
endif()
expect_readme("${output}" ${EXAMPLE})
