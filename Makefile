# Needs python3 (3.10 or newer), make and a package index, and nothing else.
# Everything is installed into .venv; a second run installs nothing.

PYTHON ?= python3
PYTEST_ARGS ?= -n auto --maxprocesses 4
RUN_ARGS ?=
ASYNC_TESTS := tests/asynchronous

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test bench storm compat lint types docs clean

help: ## Say what each command does
	@echo "make <command>, with PYTHON=python3.12 for another interpreter:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMPS)/example ## Generate, save and publish a staff roster with the example app
	@echo "==> Running the example app on SQLite"
	$(BIN)/flask --app example_app demo $(RUN_ARGS)

test: $(STAMPS)/test $(STAMPS)/mysqlclient ## Check the import contracts, run the suite, demand full branch coverage
	@echo "==> Checking that imports point downwards only (setup.cfg)"
	$(BIN)/lint-imports --no-cache
	@echo "==> Running the tests; PostgreSQL is started from a wheel where no server answers"
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS) --ignore=$(ASYNC_TESTS)
	@echo "==> Running those of coroutines, which SQLAlchemy runs in greenlets: coverage has to be told, and is slow with threads then"
	$(BIN)/coverage run --concurrency=thread,greenlet -m pytest $(PYTEST_ARGS) $(ASYNC_TESTS)
	@echo "==> Reporting branch coverage of the package"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(STAMPS)/bench ## Measure the cost of a scope and write benchmarks/RESULTS.md
	@echo "==> Measuring; this takes a few minutes"
	$(BIN)/python -m benchmarks $(RUN_ARGS)

storm: $(STAMPS)/bench $(STAMPS)/test ## Break everything around units of work for ten minutes, and count what is wrong after it
	@echo "==> On SQLite, PostgreSQL and MariaDB, with the extension and by hand"
	$(BIN)/python -m benchmarks.storm $(RUN_ARGS)

compat: $(STAMPS)/bench $(STAMPS)/test ## Run the suites of other extensions with and without this one
	@echo "==> Running the suites of Flask-SQLAlchemy and Flask-Security with and without the extension"
	$(BIN)/python -m benchmarks.compat $(RUN_ARGS)

lint: $(STAMPS)/dev ## Check style and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMPS)/dev $(STAMPS)/test $(STAMPS)/example ## Check types: mypy for everything, pyright for the public API
	$(BIN)/mypy
	$(BIN)/pyright

docs: $(STAMPS)/docs ## Build the documentation into docs/_build/html
	$(BIN)/sphinx-build --fail-on-warning --keep-going -b html docs docs/_build/html
	@echo "==> Open docs/_build/html/index.html"

clean: ## Remove .venv and everything that the commands made
	rm -rf .venv build dist docs/_build .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- Installation -------------------------------------------------------------------------------------------------

$(STAMPS)/venv:
	@echo "==> Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed; say which one with PYTHON=python3.12.")'
	$(PYTHON) -m venv .venv
	@mkdir -p $(STAMPS) && touch $@

# The suite runs the example app as well.
$(STAMPS)/test: pyproject.toml $(STAMPS)/venv
	@echo "==> Installing the package and what its tests need into .venv"
	$(PIP) install --quiet --editable '.[test,lite,example]'
	@touch $@ $(STAMPS)/example

$(STAMPS)/mysqlclient: $(STAMPS)/test
	@echo "==> Building mysqlclient"
	@$(PIP) install --quiet --editable '.[mysqlclient]' >$(STAMPS)/mysqlclient.log 2>&1 \
		|| echo "    It does not build here (client headers are missing): its tests are skipped."
	@touch $@

$(STAMPS)/%: pyproject.toml $(STAMPS)/venv
	@echo "==> Installing the package and its extra \"$*\" into .venv"
	$(PIP) install --quiet --editable '.[$*]'
	@touch $@
