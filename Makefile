# Everything a person or CI does with this repository; `make` alone explains.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
NPM ?= npm
NODE_TOOLS := $(VENV)/node/node_modules/.bin
PORT ?= 8000
VAR_DIR ?= $(CURDIR)/var
SAMPLES ?=
export PORT VAR_DIR

# The first of these that is 3.11 or 3.12 makes the virtual environment; or say `make install BASE_PYTHON=…`.
BASE_PYTHON ?= $(shell for name in python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& { command -v $$name; break; }; done)

.PHONY: help install demo up test lint bench lock clean

help:  ## Show this
	@echo "X-Ray Portal. Settings of demo and up: PORT=$(PORT) VAR_DIR=$(VAR_DIR)"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(VENV)/.local  ## Prepare .venv with what one machine needs

demo: install  ## The portal with demo clinics, logins and sample X-rays (SAMPLES=DIR submits that folder's too)
	@$(PYTHON) -m xrayportal.embedded demo $(if $(SAMPLES),--samples "$(SAMPLES)")

up: install  ## The portal without demo users and samples
	@$(PYTHON) -m xrayportal.embedded up

test: $(VENV)/.test  ## Run the whole test suite (ARGS=… are handed to pytest)
	@$(PYTHON) -m pytest $(ARGS)

lint: $(VENV)/.node $(VENV)/.test  ## Formatting, lint, types, templates, Django's own checks, missing migrations
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(NODE_TOOLS)/biome check --error-on-warnings
	$(NODE_TOOLS)/tsc --project jsconfig.json
	git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0r $(VENV)/bin/djade --check --target-version 5.2
	git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0r $(VENV)/bin/curlylint
	HTTPS=true $(PYTHON) manage.py check --deploy --fail-level WARNING --settings xrayportal.offline_settings
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run --settings xrayportal.offline_settings

bench: $(VENV)/.test  ## Measure speed and memory: a table, and JSON
	@$(PYTHON) -m benchmarks $(ARGS)

lock: $(VENV)/.uv  ## Compile requirements/*.in into pinned, hashed *.txt (UPGRADE=1 takes newer versions)
	@cd requirements; compile() { "$(CURDIR)/$(VENV)/.uv/bin/uv" pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header $(if $(UPGRADE),--upgrade) "$$@"; }; \
	compile test.in -o test.txt; \
	for name in local training worker web; do compile -c test.txt $$name.in -o $$name.txt; done

clean:  ## Remove .venv and caches; the data in VAR_DIR stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment: a stamp file remembers which list was installed ---------------
$(PYTHON):
	@if [ -z "$(BASE_PYTHON)" ]; then \
	  echo "X-Ray Portal needs Python 3.11 or 3.12 with venv; none was found on PATH (python3 is $$(python3 --version 2>&1 || echo missing))." >&2; \
	  exit 1; fi
	@"$(BASE_PYTHON)" -m venv $(VENV)

$(VENV)/.local: requirements/local.txt | $(PYTHON)
	@echo "Installing the pinned packages into $(VENV): a few minutes the first time …"
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/local.txt
	@touch $@

$(VENV)/.test: requirements/test.txt | $(PYTHON)
	@echo "Installing the pinned packages of the tests into $(VENV): a few minutes the first time …"
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/test.txt
	@touch $@ $(VENV)/.local

$(VENV)/.node: requirements/package.json requirements/package-lock.json
	@command -v "$(NPM)" >/dev/null || { \
	  echo "make lint needs Node.js 16.20 or newer with npm to check JavaScript; npm was not found on PATH." >&2; exit 1; }
	@echo "Installing the pinned checks of JavaScript into $(VENV)/node …"
	@mkdir -p $(VENV)/node
	@cp requirements/package.json requirements/package-lock.json $(VENV)/node
	@"$(NPM)" ci --prefix $(VENV)/node --no-audit --no-fund --loglevel error
	@touch $@

$(VENV)/.uv: | $(PYTHON)
	@"$(BASE_PYTHON)" -m venv $@
	@$@/bin/pip install -qq --disable-pip-version-check uv
