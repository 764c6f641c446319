# Two commands do everything: `make run` and `make test`. The rest is for those who work on it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := collab deploy loadtest tests server.py
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help run dev cluster load check format test storm page clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/.run ## start the service on port 8005, with a Redis of its own
	python -m collab

dev: $(VENV)/.dev ## the same with live reload
	adev runserver collab/app.py --app-factory application --port 8005 --no-livereload

cluster: $(VENV)/.dev ## Redis, four nodes and nginx, without Docker
	honcho start

load: $(VENV)/.load ## let fifty pairs type through `make cluster` for a minute
	mkdir -p loadtest/results
	locust -f loadtest/locustfile.py --headless --users 100 --spawn-rate 20 --run-time 60s \
	  --host $${COLLAB_URL:-http://127.0.0.1:8005} \
	  --html loadtest/results/report.html --csv loadtest/results/run

check: $(VENV)/.test ## format, lint, types, import rules, unit tests: in seconds
	ruff format --check $(SOURCES)
	ruff check $(SOURCES)
	mypy
	lint-imports
	pytest -q tests/unit

format: $(VENV)/.test ## write the code as ruff would
	ruff format $(SOURCES)
	ruff check --fix $(SOURCES)

test: $(VENV)/.test tests/js/node_modules tests/js/react/dist ## install what the tests need, and run them all
	$(MAKE) check
	pytest tests/cluster tests/faults tests/deploy tests/browser

storm: $(VENV)/.test tests/js/node_modules ## type for minutes while links, nodes and Redis go and come back
	python -m tests.soak

page: ## build the editor page; its bundle is committed
	cd collab/page && npm ci --no-audit --no-fund && npm run build

clean: ## remove what can be made again
	rm -rf $(VENV) build *.egg-info tests/js/node_modules tests/js/react/node_modules tests/js/react/dist var
	find . -name __pycache__ -prune -exec rm -rf {} +

# What is installed is noted in a file of the environment, one for each set of extras.

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev: EXTRAS := [dev,gunicorn]
$(VENV)/.load: EXTRAS := [dev,gunicorn,load]
$(VENV)/.test: EXTRAS := [dev,gunicorn,load,test]

$(VENV)/.run $(VENV)/.dev $(VENV)/.load $(VENV)/.test: setup.cfg | $(BIN)/python
	python -m pip install --quiet --disable-pip-version-check --editable '.$(EXTRAS)'
	@touch $@

tests/js/node_modules tests/js/react/node_modules: %/node_modules: %/package-lock.json | .tools
	cd $* && npm ci --no-audit --no-fund
	@touch $@

tests/js/react/dist: tests/js/react/node_modules $(wildcard tests/js/react/*.* tests/js/react/src/*)
	cd tests/js/react && npm run --silent build
	@touch $@

.PHONY: .tools
.tools:
	@sh tests/tools.sh
