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
# Benchmarks: which there are, and how often each thing is measured.
BENCHES := store dead memory cpu apply single
RUNS    ?= 3
# --realtime on a machine that does other things at the same time.
BENCH_FLAGS ?=

# Soak: how much, and from which seed. A sequence or layer that failed is printed, and runs again
# with SEED=N SEQUENCES=1 or CASES=2.
SEED      ?= $(shell date +%s)
SEQUENCES ?= 10000
CASES     ?= 10000
ROUNDS    ?= 200

SOURCES = $(shell git ls-files --cached --others --exclude-standard '*.cc' '*.h')

.PHONY: help deps tools build test unit-test soak soak-differential soak-kill soak-apply demo format format-check asan tsan tidy fuzz clean bench

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
	  awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

deps: ## Install the Debian packages that are missing
	@packaging/install-dependencies.sh
	@packaging/install-isal.sh

tools: deps ## Get containerd 2.x (if Go is here) and s3rver (npm) for the tests
	@packaging/install-containerd2.sh $(TOOLS) $(CONTAINERD2_VERSION)
	@packaging/install-content-reference.sh $(TOOLS)
	@packaging/install-s3rver.sh $(TOOLS)/s3rver $(S3RVER_VERSION)

$(BUILD)/CMakeCache.txt: | deps
	cmake --preset $(PRESET)

build: deps $(BUILD)/CMakeCache.txt ## Build everything into build/release
	cmake --build $(BUILD) -j $(JOBS)

test: build tools ## Unit, integration and end-to-end tests (root, for the last)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

unit-test: build ## Tests that need neither root nor a containerd
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -LE e2e

soak: build tools soak-differential soak-kill soak-apply ## The long variants of tests (root; hours)

soak-differential: build tools ## 10,000 sequences of calls against the built-in store (SEQUENCES=, SEED=)
	for version in 1.6 2.x; do \
	  EAGLE_DIFFERENTIAL_SEED=$(SEED) EAGLE_DIFFERENTIAL_SEQUENCES=$(SEQUENCES) \
	  python3 e2e/scenario.py --bin $(BUILD)/bin --out $(BUILD)/soak --containerd $$version \
	    differential || exit 1; \
	done

soak-apply: build tools ## 10,000 random layers against containerd's applier (CASES=, SEED=)
	EAGLE_APPLY_CASES=$$(($(CASES) / 2)) EAGLE_APPLY_SEED=$(SEED) \
	  $(BUILD)/plugin/apply/apply_differential_test

soak-kill: build tools ## 200 rounds of kill -9 on each containerd (ROUNDS=)
	for version in 1.6 2.x; do \
	  EAGLE_KILL_ROUNDS=$(ROUNDS) python3 e2e/scenario.py --bin $(BUILD)/bin --out $(BUILD)/soak \
	    --containerd $$version kill || exit 1; \
	done

demo: build ## One image on NODES=3 nodes at once; CONTAINERD=path for another containerd
	python3 e2e/demo.py --bin $(BUILD)/bin --out build/demo --nodes $(NODES) \
	  --containerd $(CONTAINERD)

bench: $(addprefix bench-,$(BENCHES)) ## All benchmarks, one after the other (an hour at most)

bench-restart: build ## Seconds until a seeder with 1,000 layers seeds them again
	cmake --build $(BUILD) -j $(JOBS) --target seeder_restart_bench
	$(BUILD)/seeder/seeder_restart_bench 1000

bench-%: build tools ## One of them: BENCHES below; results in build/bench
	python3 e2e/bench.py --bin $(BUILD)/bin --out build/bench --runs $(RUNS) $(BENCH_FLAGS) $*

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
