# The front door. Every target can be repeated and is quick the second time.

# One test compiles the library again, as part of another project: to ccache the same files in another folder.
export CCACHE_NOHASHDIR := 1

.PHONY: help demo test check-all format reference headers release dependencies bench-peers bench-conditions

help:
	@echo "make demo              install what is missing, build, train on Fashion-MNIST"
	@echo "make test              build and run all tests"
	@echo "make check-all         the tests again under sanitizers, with Clang, unoptimized, and installed"
	@echo "make bench-peers       beside PyTorch, JAX and NumPy: ARGS='--quick --only tiny --threads 1'"
	@echo "make bench-conditions  a step beside busy neighbours, sizes; with ARGS='--build' build times"
	@echo "make format            clang-format on every source file"
	@echo "make reference         docs/reference.md from the declarations"
	@echo "make headers           chainrule.hpp from the list of public headers"

demo: dependencies build/release/chainrule
	build/release/chainrule train configs/fashion-mnist.toml --name demo
	@echo "the run: runs/demo"

test: dependencies release
	@tools/run-tests.sh build/release

check-all:
	@.ci/run --all

format:
	git ls-files '*.cpp' '*.hpp' '*-inl.h' | xargs clang-format-14 -i

reference: build/release/build.ninja
	@cmake --build --preset release --target reference
	@build/release/tools/reference >build/reference.md && mv build/reference.md docs/reference.md

# Needs Python 3.11 with venv, and a network the first time.
bench-peers: build/release/build.ninja
	@cmake --build --preset release --target bench_workloads
	@python3 bench/peers/compare.py $(ARGS)

bench-conditions: build/release/build.ninja
	@cmake --build --preset release --target bench_workloads chainrule_cli
	@python3 bench/conditions.py $(ARGS)

headers:
	@tools/list-headers.sh

dependencies:
	@tools/install-dependencies.sh

release: build/release/build.ninja
	@cmake --build --preset release

# Always asked: Ninja knows what is out of date.
build/release/chainrule: build/release/build.ninja FORCE
	@cmake --build --preset release --target chainrule_cli

build/release/build.ninja: | dependencies
	@cmake --preset release

FORCE:
