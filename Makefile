# What people do with this checkout. Needs Python 3.11 or newer (below 3.14), make, and nothing else.
#   make demo ARGS="--users 3 --posts 6"
# Everything is installed into .venv, by hashes (requirements*.lock); the second time nothing is installed.
SHELL := /bin/sh
# The system's own comes first: one that was built without optimisation takes a sixth more CPU. It must be able to make a venv.
PYTHONS := python3.11 python3.12 python3.13
PYTHON ?= $(firstword $(foreach name,$(PYTHONS:%=/usr/bin/%) $(PYTHONS) python3,\
	$(shell $(name) -c 'import ensurepip' 2>/dev/null && command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
OURS := generia_assets resources sensors emulators local_services
ARGS ?=
# More than half of the time of most tests is waiting: three for a core. A file's tests run in one process, which shares their servers.
WORKERS ?= 6
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# A developer's environment has all that the generator needs, and more: it is never taken down to less.
LOCK := $(if $(wildcard $(BIN)/pytest),requirements-dev.lock,requirements.lock)
INSTALL = $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode $(1) \
	&& $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable . \
	&& $(BIN)/python -m compileall -q $(OURS)

# Without bytecode every process starts a second or two later.
unexport PYTHONDONTWRITEBYTECODE
# Not another environment's: what is installed is installed here.
unexport VIRTUAL_ENV
.DEFAULT_GOAL := help
.PHONY: help demo dev docs test test-fast coverage bench lint types structure reference schemas protos world-page format clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed  ## a whole generator from nothing, one world, and an orderly end (ARGS="--help" lists options)
	@exec $(BIN)/generia demo $(ARGS)

dev: $(VENV)/.installed  ## the generator with Dagster's pages, until Ctrl-C
	@exec $(BIN)/generia dev $(ARGS)

docs: $(VENV)/.installed-dev  ## the site of README and docs/, in build/site; a link that leads nowhere is an error
	$(BIN)/sphinx-build --quiet --jobs auto --fail-on-warning --keep-going -c docs -d build/doctrees . build/site
	@cp build/site/README.html build/site/index.html && echo "build/site/index.html"

test: lint  ## lint, then all tests, WORKERS=6 files at a time (ARGS="-k name" chooses)
	@exec $(PYTEST) $(ARGS)

test-fast: WORKERS = 2
test-fast: $(VENV)/.installed-dev  ## the tests that start no server and take no second; half a minute
	@exec $(PYTEST) -m "not servers and not slow" $(ARGS)

coverage: $(VENV)/.installed-dev  ## all tests, and how much of the product they run through
	@exec $(PYTEST) $(ARGS) --cov

bench: $(VENV)/.installed-dev  ## speed and CPU per call against computed bounds: hours (ARGS="B1 --runs 1" chooses, ARGS=--list lists)
	@exec $(BIN)/python -m bench.speed $(ARGS)

lint: $(VENV)/.installed-dev  ## style, types, imports between packages, and that the code location loads
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@$(MAKE) --no-print-directory -j 2 types structure

types: $(VENV)/.installed-dev
	$(BIN)/mypy

structure: $(VENV)/.installed-dev
	$(BIN)/lint-imports
	$(BIN)/python -W ignore -m dagster definitions validate --log-level warning

reference: $(VENV)/.installed  ## .env and the parts of pages that are generated: settings, commands, client snippets
	@exec $(BIN)/python -m generia_assets.reference

schemas: $(VENV)/.installed  ## docs/schemas: the JSON Schema of every message, in and out, from the models
	@exec $(BIN)/python -m generia_assets.schemas

protos: $(VENV)/.installed-dev  ## the platform's messages: what is generated from resources/platform/proto/*.proto
	@exec $(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. resources/platform/proto/*.proto

world-page: $(VENV)/.installed  ## docs/a-world.md: the demo's world in prompts and answers, as the templates are now
	@exec $(BIN)/generia prompts --answers emulators/gemini/recorded/morrowby --as-page docs/a-world.md

format: $(VENV)/.installed-dev  ## write the code in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## take away what was installed and generated (worlds in .generia stay)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/.installed: $(LOCK) requirements-bootstrap.lock pyproject.toml
	@$(MAKE) --no-print-directory $(VENV)/bin/uv
	$(call INSTALL,$(LOCK))
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock requirements-bootstrap.lock pyproject.toml
	@$(MAKE) --no-print-directory $(VENV)/bin/uv
	$(call INSTALL,requirements-dev.lock)
	@touch $(VENV)/.installed $@

$(VENV)/bin/uv: requirements-bootstrap.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is another. Say which: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@touch $@
