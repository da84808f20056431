# What people type. Each target does its own set-up: Debian packages, configuration, build.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

JOBS ?= $(shell nproc)
# Tests mostly wait.
TEST_JOBS ?= $(shell echo $$((3 * $(JOBS))))
ARGS ?=
STATE_DIR ?= ./canopy-state
# Debian's own, which has the packages that the tests need.
PYTHON := /usr/bin/python3

PROGRAMS := canopy-broker canopy-shard canopy-proxy canopy-cli canopy-loadtest canopy_shared canopy_static
SOURCES := $(wildcard core broker shard proxy client loadtest)
CXX_FILES = $(shell find $(SOURCES) tests -name '*.h' -o -name '*.cc')

.PHONY: help build run test deb source-package docs image loadtest bench micro check format asan tsan coverage library compilers soak faults fuzz clean build-all configure

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

build: configure ## builds the programs into build/bin
	@cmake --build build -j $(JOBS) --target $(PROGRAMS)

run: build ## runs the cluster of deploy/local.yaml until Ctrl-C (STATE_DIR=…, ARGS=…)
	@exec build/bin/canopy-broker --config deploy/local.yaml --state-dir $(STATE_DIR) $(ARGS)

test: build-all ## runs the unit tests, then the integration tests (ARGS='-k proxy')
	@deploy/setup.sh --test
	@ctest --test-dir build --output-on-failure -j $(TEST_JOBS)
	@CANOPY_BIN=$(CURDIR)/build/bin $(PYTHON) -m pytest tests/integration tests/faults -n $(TEST_JOBS) --dist loadgroup -q -rs $(ARGS)

deb: configure ## makes the Debian packages build/*.deb
	@cmake --build build -j $(JOBS) --target $(PROGRAMS) canopy_manual canopy_completion
	@deploy/package.sh build build && ls build/*.deb

source-package: ## makes the Debian source package build/*.dsc, for dpkg-buildpackage
	@deploy/setup.sh --build
	@mkdir -p build && deploy/package.sh build && ls build/*.dsc

docs: ## writes the generated pages of docs/reference, and the C++ reference into build/docs/cpp
	@deploy/setup.sh --docs
	@$(PYTHON) docs/generate.py
	@mkdir -p build/docs && doxygen docs/Doxyfile

loadtest: build ## compares the cluster with one process at up to 1,000 clients (ARGS=…)
	@build/bin/canopy-loadtest --compare $(ARGS)

bench: configure ## measures Canopy, other brokers and the bare kernel side by side (ARGS=--quick, ARGS=--help)
	@deploy/setup.sh --bench
	@cmake --build build -j $(JOBS) --target $(PROGRAMS) bench-programs
	@$(PYTHON) -m tests.bench.bench $(ARGS)

# `cmake build`: the library may have come after the build was configured.
micro: configure ## runs the microbenchmarks (ARGS=--benchmark_filter=tree)
	@deploy/setup.sh --bench
	@cmake build >/dev/null
	@cmake --build build -j $(JOBS) --target bench-micro
	@build/bin/bench-micro $(ARGS)

# clang-tidy reads the build of the preset `tidy`. It is configured each time: nothing is compiled there, so no build
# would notice a new file.
check: ## checks format, include floors and clang-tidy
	@deploy/setup.sh --build --check
	@clang-format --dry-run -Werror $(CXX_FILES)
	@$(PYTHON) tests/lint/floors.py
	@$(PYTHON) tests/lint/duplicates.py
	@$(PYTHON) tests/lint/licence.py
	@$(PYTHON) tests/lint/documents.py
	@$(PYTHON) tests/lint/words.py
	@cmake --preset tidy --log-level=WARNING >/dev/null
	@run-clang-tidy -quiet -p build/tidy -j $(JOBS) >build/tidy.log 2>&1 \
	  || { sed -i 's/\x1b\[[0-9;]*m//g' build/tidy.log; grep -A 3 -E ' (warning|error): ' build/tidy.log; exit 1; }

format: ## formats the C++ files
	@deploy/setup.sh --check
	@clang-format -i $(CXX_FILES)

asan: ## runs every test under AddressSanitizer and UBSan
	@deploy/setup.sh --build --test
	@tests/sanitize.sh asan $(ARGS)

tsan: ## runs every test under ThreadSanitizer
	@deploy/setup.sh --build --test
	@tests/sanitize.sh tsan $(ARGS)

coverage: ## counts the lines that the unit tests reach: build/coverage/index.html
	@deploy/setup.sh --build --test --coverage
	@[ -f build/coverage/build.ninja ] || cmake --preset coverage --log-level=WARNING
	@cmake --build --preset coverage -j $(JOBS)
	@find build/coverage -name '*.gcda' -delete
	@ctest --test-dir build/coverage -L unit -j $(JOBS) --output-on-failure >build/coverage/tests.log || { cat build/coverage/tests.log; exit 1; }
	@gcovr --root . $(addprefix --filter ,$(SOURCES)) -j $(JOBS) --print-summary --html-details build/coverage/index.html \
	  build/coverage | tail -4

library: ## builds the C++ library in containers of Debian 12 and 13 that have its dependencies alone (ARGS=trixie)
	@tests/package/library.sh $(or $(ARGS),bookworm trixie)

compilers: ## builds the programs without assertions, and with clang
	@deploy/setup.sh --build --fuzz
	@for preset in ndebug clang; do \
	  [ -f build/$$preset/build.ninja ] || cmake --preset $$preset --log-level=WARNING; \
	  cmake --build --preset $$preset -j $(JOBS) --target $(PROGRAMS); done

soak: build ## watches memory and descriptors for an hour of load (ARGS='--minutes 10')
	@deploy/setup.sh --test
	@CANOPY_BIN=$(CURDIR)/build/bin $(PYTHON) -m tests.bench.soak $(ARGS)

faults: build ## harms a cluster under load and checks what clients saw (ARGS='--minutes 10 --seed 7 --cluster three-hosts', ARGS=--help)
	@deploy/setup.sh --test
	@cmake --build build -j $(JOBS) --target faults-programs
	@CANOPY_BIN=$(CURDIR)/build/bin $(PYTHON) -m tests.faults.run $(ARGS)

image: ## builds the images of docker-compose.yml, and what they are based on where that cannot be pulled
	@deploy/base-image.sh
	@$(or $(shell command -v docker-compose),docker compose) build

fuzz: ## fuzzes every decoder of the network's bytes, each for SECONDS=60
	@deploy/setup.sh --build --fuzz
	@tests/fuzz/run.sh $(or $(SECONDS),60)

clean: ## removes what was built
	@rm -rf build

# Once; from then on the build itself notices what needs configuring anew.
configure:
	@deploy/setup.sh --build
	@[ -f build/build.ninja ] || cmake --preset dev --log-level=WARNING

build-all: configure
	@cmake --build build -j $(JOBS)
