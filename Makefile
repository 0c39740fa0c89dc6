# `make help` lists what there is. Nothing here needs root; .ci/run installs what only CI needs.

PYTHON ?= python3
BIN := .venv/bin
LOCKED := requirements.txt tests/requirements.txt

.DEFAULT_GOAL := help
.PHONY: help test lint lock promises bench drill screens tools audit audit-attack audit-pages audit-words audit-mails

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

define INSTALL
@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
test -x $(BIN)/python || $(PYTHON) -m venv .venv
$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(addprefix --requirement ,$^)
endef

# The stamps are made last, so that an interrupted installation begins again.
.venv/installed: $(LOCKED)
	$(INSTALL)
	@touch .venv/ready $@

.venv/ready: requirements.txt
	$(INSTALL)
	@touch $@

FLASK := $(BIN)/flask --app wsgi
run: export PORTAL_ENV ?= development
run: export PORT ?= 8000
run: export STAFF_EMAILS ?= desk@example.org
run: export PRIVACY_CONTACT ?= privacy@example.org
run: export DPO_CONTACT ?= dpo@example.org
SETTINGS = $(foreach name,PORTAL_ENV PORT STAFF_EMAILS PRIVACY_CONTACT DPO_CONTACT,$(name)='$($(name))')

run: .venv/ready  ## start the portal with demonstration data on http://127.0.0.1:8000 (PORT=8001 for another port)
	@$(FLASK) db upgrade
	@test "$$PORTAL_ENV" = production || $(FLASK) demo load
	@printf '%s\n' '' "Another terminal runs commands with the same settings:" "$(SETTINGS) $(FLASK) …" '' \
		"The portal: $${PORTAL_URL:-http://127.0.0.1:$$PORT}/    its mail: /dev/mailbox    stop: Ctrl-C" >&2
	@exec $(FLASK) serve

test: .venv/installed  ## run the whole suite, on SQLite and on PostgreSQL
	$(BIN)/python -m pytest -n auto --dist worksteal --database=both

NPM := npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error --prefix

tools:  ## install the HTML checker of the tests into .tools/; it runs on Java
	$(NPM) .tools/vnu vnu-jar@26.9.27

audit-pages: .venv/installed  ## Lighthouse on the main pages, into docs/lighthouse.md; about five minutes
	$(NPM) .tools/lighthouse lighthouse@12.8.2
	$(BIN)/python -m tests.audit.pages

screens: .venv/installed  ## a picture of every page into screens/, to look at
	$(BIN)/python -m tests.screens

bench: .venv/installed  ## measure the portal against its limits (docs/bench.md); about seven minutes
	$(BIN)/python -m bench $(BENCH)

N ?= 20
drill: .venv/installed  ## kill, stop, fill and mislead it, and see that nothing is lost (docs/reliability.md; N=200 for the record)
	$(BIN)/python -m tests.drills --times $(N) $(DRILL)
	$(BIN)/python -m tests.drills.restore
	$(BIN)/python -m tests.drills.restore --database postgresql

audit: audit-attack audit-pages audit-words audit-mails  ## what takes too long for every day (docs/audit.md); over two hours

AUDIT := $(BIN)/python -W ignore -m tests.audit

.audit/ready: tests/audit/scanners.txt tests/audit/fuzzer.txt
	test -x .audit/scanners/bin/python || $(PYTHON) -m venv .audit/scanners
	.audit/scanners/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/audit/scanners.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --upgrade \
		--target .audit/fuzzer -r tests/audit/fuzzer.txt
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix .audit/observatory @mdn/mdn-http-observatory@1.4.8
	@touch $@

# Each can be run alone; the scan of headers wants root, nginx and the ports 80 and 443.
audit-attack: .venv/installed .audit/ready
	$(AUDIT).forms --examples 100000
	$(AUDIT).forms --examples 3000 --database postgresql
	for target in tokens csv mail; do PYTHONPATH=.audit/fuzzer $(AUDIT).fuzz $$target --runs 334000 || exit 1; done
	$(AUDIT).keys
	$(AUDIT).canaries --members 200
	$(AUDIT).crawl --minutes 6
	$(AUDIT).inject --minutes 2
	$(AUDIT).headers

audit-words: .venv/installed  ## how hard the pages and mails are to read (docs/wording.md)
	$(AUDIT).words

.audit/caniemail/node_modules:
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix .audit/caniemail caniemail@2.0.2

audit-mails: .venv/installed .audit/caniemail/node_modules  ## what large mail programs do not support (docs/mail.md)
	$(AUDIT).mails

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
