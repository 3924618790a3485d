# Weir's entry points. `make` alone says what there is.
#
#   make demo              the story of examples/flights, live; the node stays up until you stop it
#   make demo ARGS=--once  the same, then ends: exit code 0 if every count is what it must be
#   make demo FULL=1       with all 336,776 flights instead of a few thousand
#   make test              everything that has to hold, as CI runs it
#   make bench             how fast it is, against what one would write by hand; QUICK=1, ROWS=1,2
#   make languages         what a transform costs, by language and ready-made module, into two READMEs
#   make bench BASE=REV    the same of this tree against another revision of Weir

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# More words for the demo program, such as --once.
ARGS ?=
# 1: the full data set.
FULL ?=

GUESTS := target/guests/wasm32-wasip2/release
FLIGHTS := examples/flights/flights-sample.ndjson
FLIGHTS_FULL := target/flights/flights.ndjson

# The bench: a short run, only some rows, another revision to compare with.
QUICK ?=
ROWS ?=
BASE ?=

# The workspaces that build for WebAssembly.
GUEST_WORKSPACES := sdk/rust/Cargo.toml sdk/rust/reference/Cargo.toml plugins/Cargo.toml tests/guests/Cargo.toml
TEST_LOG := target/test.log

say = @printf '== %s\n' "$(1)"

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: tools
tools: ## Set up what Rust alone does not bring, in .tools/
	$(call say,tools)
	@.ci/tools.sh test

.PHONY: build
build: ## Build the program: target/release/weir
	$(call say,building weir)
	@cargo build --locked --release -p weir

.PHONY: guests
guests: ## Build the ready-made modules (plugins/) from source
	$(call say,building the modules)
	@.ci/guests.sh plugins

.PHONY: demo
demo: ## Run the whole story on real flight records (ARGS=--once, FULL=1)
	$(call say,setting up)
	@.ci/tools.sh demo
	$(call say,building the modules and weir (some minutes the first time))
	@.ci/guests.sh demo & modules=$$!; \
	    cargo build --locked --release -p weir -p flights-demo; wait $$modules
	@$(if $(filter 1,$(FULL)),$(MAKE) $(FLIGHTS_FULL))
	$(call say,the demo)
	@exec target/release/flights-demo --weir target/release/weir --modules $(GUESTS) \
	    --data $(if $(filter 1,$(FULL)),$(FLIGHTS_FULL) --full,$(FLIGHTS)) \
	    --nats-server "$$(.ci/tools.sh nats)" $(ARGS)

$(FLIGHTS_FULL): examples/flights/prepare.py
	$(call say,preparing all flights of 2013)
	@.ci/tools.sh flights
	@mkdir -p $(@D)
	@PYTHONPATH=.tools/flights python3 examples/flights/prepare.py --full $@

.PHONY: clean-demo
clean-demo: ## Remove the prepared data set of FULL=1
	@rm -rf target/flights

.PHONY: bench
bench: tools ## Measure, side by side in one run (QUICK=1, ROWS=1,2, BASE=<revision>)
	$(call say,building the modules and weir (some minutes the first time))
	@.ci/guests.sh tests
	@cargo build --locked --release -p weir -p weir-bench
	@cargo build --locked --profile native -p weir-bench-native
	@$(if $(BASE),.ci/base.sh "$(BASE)")
	$(call say,measuring)
	@target/release/weir-bench $(if $(filter 1,$(QUICK)),--quick) $(if $(ROWS),--rows $(ROWS)) \
	    $(if $(BASE),--base target/bench/base/target/release/weir) \
	    $(if $(wildcard $(FLIGHTS_FULL)),--flights $(FLIGHTS_FULL))

.PHONY: languages
languages: tools ## Measure languages and ready-made modules, and write their tables
	$(call say,building the modules and weir (some minutes the first time))
	@.ci/guests.sh tests
	@.ci/guests.sh plugins
	@cargo build --locked --release -p weir -p weir-bench
	$(call say,measuring)
	@target/release/weir-bench languages
	@target/release/weir-bench ready-made

.PHONY: test
test: tools ## All checks and all tests
	$(call say,format)
	@cargo fmt --all --check
	@for guests in $(GUEST_WORKSPACES); do cargo fmt --all --check --manifest-path $$guests; done
	$(call say,guests)
	@.ci/guests.sh plugins
	@.ci/guests.sh tests
	$(call say,lints)
	@cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
	@for guests in $(GUEST_WORKSPACES); do \
	    cargo clippy --quiet --locked --workspace --all-targets --target-dir target/guests \
	        --manifest-path $$guests -- -D warnings; done
	@for target in wasm32-wasip2 wasm32-unknown-unknown; do \
	    cargo clippy --quiet --locked --target $$target --target-dir target/guests \
	        --manifest-path sdk/rust/Cargo.toml -- -D warnings; done
	$(call say,documentation)
	@RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --no-deps --workspace
	$(call say,tests of the SDKs and the modules)
	@rm -f $(TEST_LOG)
	@for guests in sdk/rust/Cargo.toml plugins/Cargo.toml; do \
	    cargo test --locked --all-features --target-dir target/guests --manifest-path $$guests 2>&1 | tee -a $(TEST_LOG); done
	@.ci/sdks.sh
	$(call say,tests)
	@cargo build --quiet --locked --workspace --bins
	@for project in plugins/*/weir.toml; do \
	    folder=$${project%/weir.toml}; name=$${folder#plugins/}; \
	    target/debug/weir test $$folder --module $(GUESTS)/$${name//-/_}.wasm; done
	@cargo test --locked --workspace --no-fail-fast 2>&1 | tee -a $(TEST_LOG)
	@awk '/^test result:/ { passed += $$4; failed += $$6 } \
	    END { printf "%d passed, %d failed\n", passed, failed }' $(TEST_LOG)
