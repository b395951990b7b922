# make help          what there is
# Variables:  PROFILE    ci (minutes) or full, of `make book`
#             INSTALLER  uv (fast) or pip
#             TORCH      cpu (small) or default (the build of the package index: CUDA on Linux, gigabytes)
#             JOBS       tests, notebooks or pages that run at a time; by default as many as there are cores, at most 4
#             PYTHON     interpreter for the virtual environment, 3.11 or later

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup book test coverage lint clean

PROFILE ?= ci
INSTALLER ?= uv
TORCH ?= cpu
PYTHON ?= python3
JOBS ?= $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() or 1, 4))')

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The maths libraries and torch would otherwise fight for few cores; set SICMIR_THREADS for more.
export OMP_NUM_THREADS ?= 1

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## Make .venv with everything that is needed

book: $(READY) ## Run the notebooks that are out of date and build the book
	$(BIN)/sicmir book --profile $(PROFILE) --jobs $(JOBS)

test: $(READY) ## Run the unit tests, then every notebook at its defaults
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests
	$(BIN)/python -m pytest -n $(JOBS) --nbmake --nbmake-timeout=900 notebooks

coverage: $(READY) ## Run the unit tests, and name the lines of sicmir/ that none of them reaches
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=term tests

lint: $(READY) ## Check style, notebooks included, and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## Remove the environment, the built book and the results
	rm -rf $(VENV) book/_build book/pages book/generated results .pytest_cache .ruff_cache .mypy_cache .coverage

$(READY): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(f"sicmir needs Python 3.11 or later, found {sys.version.split()[0]}; use make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifeq ($(INSTALLER),uv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo 'Installing torch, then the rest ...'
	@$(install-torch-uv)
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}" $(BIN)/uv pip install --quiet --compile-bytecode \
		--python $(BIN)/python -c constraints.txt -e '.[book,test]'
else ifeq ($(INSTALLER),pip)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,test]'
else
	$(error INSTALLER: expected uv or pip, found '$(INSTALLER)')
endif
	touch $@

# With a folder of local wheels (PIP_FIND_LINKS) torch is taken from there; else its CPU builds are tried first.
define install-torch-uv
	links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}"; \
	if [ -z "$$links" ] && [ "$(TORCH)" = cpu ] && $(BIN)/uv pip install --quiet --python $(BIN)/python \
		--torch-backend=cpu -c constraints.txt torch; then :; else \
		[ "$(TORCH)" != cpu ] || [ -n "$$links" ] || \
			echo 'The CPU builds of torch cannot be reached; taking the build of the package index.'; \
		UV_FIND_LINKS="$$links" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt torch; \
	fi
endef
