# Everything a newcomer, a developer and CI call. Stamps in .venv make a second call quick.
# PYTHON=/path/to/python3 chooses the interpreter; ARGS="-k name" goes to pytest or the benchmarks.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .venv/bin
# Many tests wait: for brokers to die and come back, for rounds to end. Others work meanwhile.
TEST_PROCESSES ?= 4
PROPERTIES := tests/properties tests/reconcile/test_comparison.py tests/vendors/metastudio/test_api_signing.py
PIP_INSTALL := -m pip --quiet --disable-pip-version-check --no-input install

# Where the environment forbids it, each of the tests' hundreds of processes would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: .venv/.installed ## .venv with .venv/bin/monitor, nothing more

.PHONY: develop
develop: .venv/.developed ## .venv with what tests and lint need

.PHONY: demo
demo: .venv/.installed ## run the service with simulated traffic of both vendors, until Ctrl-C
	@$(BIN)/python scripts/demo.py

.PHONY: kafka
kafka: ## run a Kafka broker at 127.0.0.1:9092 until Ctrl-C; its data is in var/kafka
	@deploy/kafka/kafka fetch
	@echo "Kafka at 127.0.0.1:9092; in monitor.toml: backend = \"kafka\", replication_factor = 1"
	@deploy/kafka/kafka run var/kafka 9092 9093

.PHONY: test
test: ## fetch what the tests need, and run them all
	@$(MAKE) --no-print-directory --jobs=2 .venv/.developed components
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadgroup $(ARGS)

# One after the other, as both may have to install something on the machine.
.PHONY: components
components:
	@scripts/components
	@deploy/kafka/kafka fetch

.PHONY: properties
properties: .venv/.developed ## try each property with thousands of examples more
	EXAMPLES_TIMES=20 $(BIN)/python -m pytest --numprocesses 2 $(PROPERTIES) $(ARGS)

.PHONY: lint
lint: .venv/.developed ## format, lint, types, the direction of imports, and what is generated
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m dashboards.build --check
	$(BIN)/python -m alerts.build --check

.PHONY: alerts
alerts: .venv/.developed ## write alerts/rules/ from alerts/thresholds.toml
	$(BIN)/python -m alerts.build

.PHONY: format
format: .venv/.developed ## write the format, and the fixes that are safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: dashboards
dashboards: .venv/.developed ## write dashboards/json/ from dashboards/
	$(BIN)/python -m dashboards.build

.PHONY: bench
bench: .venv/.developed .venv-bench/.installed ## benchmarks, side by side with the peers
	@scripts/components bench
	@deploy/kafka/kafka fetch
	@$(BIN)/python -m tests.benchmarks $(ARGS)

.PHONY: clean
clean: ## remove all that make has made here; the service's own data in var/ stays
	rm -rf .venv .venv-bench .components var/demo build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find alerts monitor dashboards tests scripts -name __pycache__ -prune -exec rm -rf {} +

# The project is installed editable with the build backend of requirements/build.txt: pip's own
# isolated build would fetch an unpinned one.
.venv/.installed: pyproject.toml requirements/runtime.txt requirements/build.txt
	@scripts/venv .venv
	@echo "Installing the service into .venv"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.developed: .venv/.installed requirements/dev.txt
	@echo "Installing the tests' and linters' packages into .venv"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

.venv-bench/.installed: requirements/bench.txt
	@scripts/venv .venv-bench
	@echo "Installing the benchmarks' peers into .venv-bench"
	@.venv-bench/bin/python $(PIP_INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@
