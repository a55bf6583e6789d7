# Everything is made in .venv, with the versions of constraints.txt.
#
#   make run      start an API server on this machine; UP="--secure-port 7443" gives flags,
#                 REPLICAS=3 starts three behind HAProxy, with etcd and Redis
#   make test     all checks and tests
#   make chaos    an hour of killed, paused and cut-off parts; CHAOS="--seconds 60 --seed 7"
#   make lint     the checks alone
#   make bench    what the server spends on each work; BENCH="--etcd get create" gives flags
#   make microbench  what single parts spend
#   make install  only prepare .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UP ?=
REPLICAS ?=
PYTEST ?=
BENCH ?=
CHAOS ?= --seconds 3600

INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.PHONY: run install test chaos lint programs bench microbench clean
.DEFAULT_GOAL := run

run: $(INSTALLED) $(if $(REPLICAS),programs)
	@exec $(BIN)/kubefan up $(if $(REPLICAS),--replicas=$(REPLICAS)) $(UP)

install: $(INSTALLED) $(if $(REPLICAS),programs)

test: lint programs
	$(BIN)/pytest $(PYTEST)

chaos: $(INSTALLED_DEV) programs
	$(BIN)/python -m tests.chaos.run $(CHAOS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	@$(BIN)/python loadtest/bench.py $(BENCH)

microbench: $(INSTALLED_DEV)
	@set -e; for script in $(sort $(wildcard loadtest/bench_*.py)); do \
		echo "== $$script"; $(BIN)/python "$$script"; \
	done

clean:
	rm -rf $(VENV) .kubefan .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build

$(BIN)/python:
	@echo "== Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "kubefan needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tools/apt-install.sh python3-venv
	@$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(BIN)/python pyproject.toml constraints.txt
	@echo "== Installing kubefan and what it needs (a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "== Installing the tools for tests (a minute, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# What several replicas need beside Python; the tests run against them too. Debian's haproxy
# is in a directory that is not in everybody's PATH.
programs: export PATH := $(PATH):/usr/sbin:/sbin
programs:
	@command -v etcd >/dev/null || sh tools/apt-install.sh etcd-server
	@command -v redis-server >/dev/null || sh tools/apt-install.sh redis-server
	@command -v haproxy >/dev/null || sh tools/apt-install.sh haproxy
