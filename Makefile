# Everything runs in a virtual environment of its own. Needs Python 3.11 or newer and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo demo-cost run test faults soak fuzz check format bench clean
help:
	@echo "make demo    start the daemon, drive it with an instrumented app, show what was stored"
	@echo "make demo-cost  the same with costs: attributed, exported as FOCUS, and added up to the last digit"
	@echo "make run     start the daemon: OTLP on 127.0.0.1:4317 and :4318, SQLite"
	@echo "make test    run the tests"
	@echo "make faults  break things for real, at length, and count every item"
	@echo "make soak    half load for SOAK_MINUTES (30): memory, files and threads must not grow"
	@echo "make fuzz    damaged requests against the compiled modules, with sanitizers; FUZZ_SECONDS each"
	@echo "make check   lint, types, layers"
	@echo "make bench   measure"

# What is compiled, when there is a compiler: built again when it changes.
NATIVE := setup.py $(wildcard collector/_native/*.pyx collector/_native/*.pxd collector/_native/*.h)

$(VENV)/run.stamp: pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/check.stamp: pyproject.toml $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --editable '.[check]'
	@touch $@

demo: $(VENV)/run.stamp
	@$(BIN)/collector demo

demo-cost: $(VENV)/run.stamp
	@$(BIN)/collector cost demo

run: $(VENV)/run.stamp
	@$(BIN)/collector run

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n 2 --max-worker-restart 0 $(PYTEST_ARGS)

faults: $(VENV)/test.stamp
	$(BIN)/python -m tests.faults $(FAULTS)

soak: $(VENV)/test.stamp
	SOAK_MINUTES=$(or $(SOAK_MINUTES),30) $(BIN)/python -m tests.faults soak

fuzz: $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet 'setuptools>=77' 'cython>=3.1'
	$(BIN)/python -m tests.fuzz $(FUZZ)

check: $(VENV)/check.stamp
	$(BIN)/ruff check collector tests
	$(BIN)/ruff format --check collector tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/check.stamp
	$(BIN)/ruff format collector tests
	$(BIN)/ruff check --fix collector tests

$(VENV)/bench.stamp: pyproject.toml $(VENV)/test.stamp
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

bench: $(VENV)/bench.stamp
	$(BIN)/python -m tests.bench $(BENCH)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
