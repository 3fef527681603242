# The front door. Everything is CMake behind it; `make help` lists what there is.

BUILD   ?= build/release
PRESET  ?= release
JOBS    ?= $(shell nproc)
# Tests and demo: containerd 2.x is built from source, as Debian 12 has 1.6.
CONTAINERD2_VERSION ?= 2.3.7
# Tests: an S3 server, from npm.
S3RVER_VERSION ?= 3.7.1
TOOLS   := build/tools
# Demo: number of nodes, and which containerd they run.
NODES   ?= 3
CONTAINERD ?= /usr/bin/containerd

SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.cc' '*.h')

.PHONY: help deps tools build test unit-test bench-restart demo format format-check asan tsan tidy fuzz clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
	  awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

deps: ## Install the Debian packages that are missing
	@packaging/install-dependencies.sh
	@packaging/install-isal.sh

tools: deps ## Get containerd 2.x (if Go is here) and s3rver (npm) for the tests
	@packaging/install-containerd2.sh $(TOOLS) $(CONTAINERD2_VERSION)
	@packaging/install-s3rver.sh $(TOOLS)/s3rver $(S3RVER_VERSION)

$(BUILD)/CMakeCache.txt: | deps
	cmake --preset $(PRESET)

build: deps $(BUILD)/CMakeCache.txt ## Build everything into build/release
	cmake --build $(BUILD) -j $(JOBS)

test: build tools ## Unit, integration and end-to-end tests (root, for the last)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

unit-test: build ## Tests that need neither root nor a containerd
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -LE e2e

bench-restart: $(BUILD)/CMakeCache.txt ## Seconds until a seeder with 1,000 layers seeds them again
	cmake --build $(BUILD) -j $(JOBS) --target seeder_restart_bench
	$(BUILD)/seeder/seeder_restart_bench 1000

demo: build ## One image on NODES=3 nodes at once; CONTAINERD=path for another containerd
	python3 e2e/demo.py --bin $(BUILD)/bin --out build/demo --nodes $(NODES) \
	  --containerd $(CONTAINERD)

format: ## Format the C++ sources in place
	clang-format-14 -i $(SOURCES)

format-check: deps ## Fail when a C++ source is not formatted
	@clang-format-14 --dry-run -Werror $(SOURCES)

asan: deps ## Unit tests under address and undefined behaviour sanitizers
	cmake --preset asan && cmake --build build/asan -j $(JOBS)
	ctest --test-dir build/asan --output-on-failure -j $(JOBS) -LE e2e

tsan: deps ## Unit tests under the thread sanitizer
	cmake --preset tsan && cmake --build build/tsan -j $(JOBS)
	TSAN_OPTIONS=suppressions=$(CURDIR)/lib/testing/tsan.supp \
	  ctest --test-dir build/tsan --output-on-failure -j $(JOBS) -LE e2e

tidy: deps ## Build with clang-tidy's checks as errors (apt: clang-14 clang-tidy-14)
	cmake --preset tidy && cmake --build build/tidy -j $(JOBS)

fuzz: deps ## Build the fuzz targets and run each for a minute (apt: clang-14 libclang-rt-14-dev)
	cmake --preset fuzz && cmake --build build/fuzz -j $(JOBS)
	packaging/run-fuzzers.sh build/fuzz 60

clean: ## Remove everything that was built
	rm -rf build
