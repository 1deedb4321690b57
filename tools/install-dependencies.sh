#!/bin/bash
# Installs what Chainrule needs from Debian 12, and only what is missing. The one place for package names.
#
#   tools/install-dependencies.sh              to build, test and run the demo
#   tools/install-dependencies.sh --clang      with Clang 14, its sanitizers and its fuzzer
#   tools/install-dependencies.sh --bench      with Google Benchmark
#   tools/install-dependencies.sh --print      only print the names
#
# Prints the apt line before it runs it. Needs root or sudo when something is missing.
set -euo pipefail

packages=(
  g++ make cmake ninja-build pkg-config ccache
  libhwy-dev             # Highway: kernels for several instruction sets
  libfmt-dev             # text
  libcli11-dev           # the program's command line
  libtomlplusplus-dev    # configuration files
  nlohmann-json3-dev     # JSON and safetensors headers
  zlib1g-dev             # gzip and zip
  libgtest-dev           # tests
  dataset-fashion-mnist  # what the demo trains on
)
print_only=no
for argument in "$@"; do
  case $argument in
    --clang) packages+=(clang-14 libclang-rt-14-dev) ;;
    --bench) packages+=(libbenchmark-dev) ;;
    --print) print_only=yes ;;
    *) echo "unknown argument $argument; known: --clang, --bench, --print" >&2; exit 2 ;;
  esac
done
if [ "$print_only" = yes ]; then
  echo "${packages[*]}"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ $state == *"install ok installed" ]] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "These packages are missing, and installing them needs root or sudo: ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
install=("${sudo[@]}" apt-get install -y --no-install-recommends "${missing[@]}")
echo "${sudo[*]:+${sudo[*]} }apt-get update"
echo "${install[*]}"
"${sudo[@]}" apt-get update -q </dev/null
"${install[@]}" </dev/null
