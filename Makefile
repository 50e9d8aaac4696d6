# make dev   the whole system on this machine, no account needed
# make test  all tests but those that need a Docker engine
# make bench the figures of the README; 25 minutes, or make bench ARGS=--quick
# The first that runs and is new enough; a name on the path may be a version manager's empty promise.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench

.PHONY: setup dev test test-docker test-model test-faults test-protections bench contracts lint clean

setup: $(READY)

$(READY): requirements.txt $(wildcard requirements/*.txt)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/it"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

dev: setup
	@$(BIN)/python -m app dev

test: setup
	$(BIN)/python -m pytest

test-docker: setup
	$(BIN)/python -m pytest -n 0 tests/docker

test-model: setup
	$(BIN)/python -m pytest -n 0 -s tests/model

test-faults: setup
	$(BIN)/python -m pytest -n 2 --dist load tests/faults

# NAMES="identity spool" for some of them only
test-protections: setup
	$(BIN)/python -m tests.faults.without_protections $(NAMES)

bench: setup $(BENCH_READY)
	$(BIN)/python -m benchmarks $(ARGS)

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/bench.txt
	@touch $@

# What docs/ has from the code: after a change in app/domain/schemas.py or app/monitoring/metrics.py
contracts: setup
	$(BIN)/python -m app.domain.json_schemas docs/schemas
	$(BIN)/python -c 'import app.monitoring; print(app.monitoring.as_markdown(), end="")' > docs/metrics.md

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy app tasks celeryconfig.py tests benchmarks
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
