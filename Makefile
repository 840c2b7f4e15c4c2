# What a user needs: `make up` and `make test`. `make help` lists the rest.
.PHONY: help up build test test-full bench lint clean-demo
.DEFAULT_GOAL := help

CARGO ?= cargo
export CARGO_TERM_PROGRESS_WHEN ?= auto

help: ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Build, start the sandbox, deploy demo/ (the ekb preset, dev) into it
	@./scripts/prepare build
	@./scripts/up

build: ## Build the release binary: target/release/seaworthy
	@./scripts/prepare build
	$(CARGO) build --release --locked -p seaworthy-cli

test: ## Everything that must hold, in 20 minutes or less on two cores
	@./scripts/prepare test
	$(CARGO) build --locked -p seaworthy-cli
	docs/check-dependencies
	docs/generate-spec --check
	$(CARGO) test --locked --workspace

test-full: ## As test, with the full numbers of kills and of random cases (about an hour)
	@./scripts/prepare test
	$(CARGO) build --locked -p seaworthy-cli
	SEAWORTHY_TEST_FULL=1 PROPTEST_CASES=5000 $(CARGO) test --locked --workspace

bench: ## The figures, beside peers measured in the same run, as a table
	@./scripts/prepare bench
	@./bench/run

lint: ## Format and lints, as CI wants them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

clean-demo: ## Destroy the demo, stop the sandbox, remove demo/
	@./scripts/clean-demo
