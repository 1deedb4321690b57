#!/bin/bash
# Runs the tests of a build folder and ends with a line "N passed, N failed" that counts test cases: every
# GoogleTest case, and every other test that CTest knows as one.
#
#   tools/run-tests.sh BUILD_FOLDER [arguments for ctest]
set -uo pipefail

build=$1
shift
results=$(cd "$build" && pwd)/test-results
rm -rf "$results"
mkdir -p "$results"
GTEST_OUTPUT=xml:$results/ ctest --test-dir "$build" --output-on-failure --no-tests=error \
  --output-junit "$results/ctest.xml" --parallel "$(nproc)" "$@"
status=$?

# GoogleTest's <testsuites tests= failures= ...> of each program; its skipped cases are neither.
sum_attribute() {
  { grep -ho "^<testsuites [^>]*" "$results"/*.xml 2>/dev/null || true; } |
    sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" | awk '{ total += $1 } END { print total + 0 }'
}
# CTest's own <testcase name= … status="run"|"fail">. A test is a GoogleTest program when its folder has one.
count_ctest() {
  grep -o '<testcase name="[^"]*"[^>]*status="'"$1"'"' "$results/ctest.xml" | sed 's/<testcase name="\([^"]*\)".*/\1/' |
    while read -r name; do [ -e "$results/test_$name.xml" ] || echo "$name"; done | wc -l
}
failed=$(($(sum_attribute failures) + $(sum_attribute errors) + $(count_ctest fail)))
skipped=$({ grep -ho 'result="skipped"' "$results"/test_*.xml 2>/dev/null || true; } | wc -l)
passed=$(($(sum_attribute tests) - $(sum_attribute failures) - $(sum_attribute errors) - $(sum_attribute disabled) - skipped + $(count_ctest run)))
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  failed=1  # ctest itself could not run
fi
echo "$passed passed, $failed failed"
exit "$status"
