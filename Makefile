# `make help` lists what there is. Nothing here needs root; .ci/run installs what only CI needs.

PYTHON ?= python3
BIN := .venv/bin
LOCKED := requirements.txt tests/requirements.txt

.DEFAULT_GOAL := help
.PHONY: help test lint lock promises

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# The stamp is made last, so that an interrupted installation begins again.
.venv/installed: $(LOCKED)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(addprefix --requirement ,$(LOCKED))
	@touch $@

test: .venv/installed  ## run the whole suite, on SQLite and on PostgreSQL
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest --database=postgresql -m "not browser"

lint: .venv/installed  ## check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

promises: .venv/installed  ## write docs/promises.md anew
	$(BIN)/python -m tests.promises

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links

lock: .venv/installed  ## write the locked requirements anew from the .in files
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) tests/requirements.in -o tests/requirements.txt
