# Works from a fresh clone with only git and make: every target that builds runs tools/setup.sh first.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

JOBS  ?= $(shell nproc)
# Seeds that `make sim` runs; `make test` runs 20.
SEEDS ?= 200
# Minutes that `make soak` kills the server (`make test` has a quarter of one), and that `make fuzz` gives each target.
MINUTES ?= 10
# More arguments for `make run`, for example RUN_ARGS=--restart.
RUN_ARGS ?=
# A llama.cpp tree of your own (source and build) instead of the pinned npm packages.
INFERQ_LLAMA_ROOT ?=
export INFERQ_LLAMA_ROOT

CONFIGURE := $(if $(INFERQ_LLAMA_ROOT),-DINFERQ_LLAMA_ROOT=$(INFERQ_LLAMA_ROOT))
CTEST     := ctest --output-on-failure -j $(JOBS)
BIN       := build/release/bin
MODEL     := examples/models/phone-nano.gguf

# What the sanitizers run. Tests labelled `llama` load a library that is not instrumented: left out.
ASAN_LABELS := unit|crash
TSAN_LABELS := unit|sim

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## Install what is missing (Debian 12 packages, pinned npm packages)
	@tools/setup.sh

build/%/build.ninja: CMakePresets.json
	cmake --preset $* $(CONFIGURE)

build: setup build/release/build.ninja ## Build the release binaries into build/release/bin
	cmake --build build/release -j $(JOBS)

run: build ## Run examples/phone_steps.jsonl on the example model into out/
	@mkdir -p out
	$(BIN)/inferq run examples/phone_steps.jsonl -o out/phone_steps.results.jsonl --model $(MODEL) $(RUN_ARGS)

phone-nano: build ## Train the example model again (docs/phone-nano.md; needs python3-torch)
	/usr/bin/python3 tools/phone_nano/train.py --out out/phone-nano
	$(BIN)/inferq-make-gguf --weights out/phone-nano --out $(MODEL)
	/usr/bin/python3 tools/phone_nano/check.py --weights out/phone-nano --model $(MODEL) --bin $(BIN)

test: build ## Run all tests on the release build
	$(CTEST) --test-dir build/release

bench: build ## Run the micro-benchmarks, then the engine against bare libllama
	@shopt -s nullglob; for b in $(BIN)/*_benchmark; do echo "== $$b"; $$b || exit 1; done
	python3 bench/engine.py

sim: setup build/release/build.ninja ## Run the simulation with SEEDS=n seeds
	cmake --build build/release -j $(JOBS) --target sim_tests
	INFERQ_SIM_SEEDS=$(SEEDS) $(CTEST) --test-dir build/release -L sim

soak: build ## Kill a loaded server over and over for MINUTES=n; nothing may be lost
	tests/soak/kill_loop.py --minutes $(MINUTES) --json out/kill_loop.json

fuzz: setup build/fuzz/build.ninja ## Fuzz every parser for MINUTES=n each, under sanitizers
	cmake --build build/fuzz -j $(JOBS) --target fuzz_targets
	tests/fuzz/run.py --minutes $(MINUTES) --jobs $(JOBS) --out bench/results/fuzz.md

mutants: setup build/release/build.ninja ## Remove each guard of tests/mutations.toml in turn; its test must turn red
	python3 tools/mutate.py

asan: setup build/asan/build.ninja ## Run unit and crash tests under AddressSanitizer and UBSan
	cmake --build build/asan -j $(JOBS) --target unit_tests crash_tests
	$(CTEST) --test-dir build/asan -L '$(ASAN_LABELS)' -LE llama

tsan: setup build/tsan/build.ninja ## Run unit and sim tests under ThreadSanitizer
	cmake --build build/tsan -j $(JOBS) --target unit_tests sim_tests
	$(CTEST) --test-dir build/tsan -L '$(TSAN_LABELS)' -LE llama

nightly: setup build/release/build.ninja build/asan/build.ninja build/tsan/build.ninja ## Everything, with many seeds, under both sanitizers, and clang-tidy on all files
	tools/tidy.sh --all
	cmake --build build/release -j $(JOBS)
	INFERQ_SIM_SEEDS=5000 $(CTEST) --test-dir build/release
	python3 tools/mutate.py
	cmake --build build/asan -j $(JOBS)
	INFERQ_SIM_SEEDS=500 $(CTEST) --test-dir build/asan -LE llama
	cmake --build build/tsan -j $(JOBS)
	INFERQ_SIM_SEEDS=200 $(CTEST) --test-dir build/tsan -LE llama

format: setup ## Format all C++ files
	tools/format.sh

lint: setup build/dev/build.ninja ## Check format, bans, layers and headers, and clang-tidy on changed files
	tools/format.sh --check
	python3 tools/lint.py
	python3 tools/check_layers.py
	cmake --build build/dev -j $(JOBS) --target check_headers
	tools/tidy.sh

clean: ## Remove build/ and out/
	rm -rf build out

.PHONY: help setup build run phone-nano test bench sim soak fuzz mutants asan tsan nightly format lint clean
