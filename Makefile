# bitcoind_mp: everything a checkout can do. Each target sets up its own .venv first.
#
#   make demo     the main job on regtest, unattended, in a temporary directory
#   make run      start a regtest supervisor and attach the shell
#   make test     all tests           make lint     ruff and mypy
#   make bench    the speed table     make man      write the manual pages anew
#   make chaos    payments under fire for SECONDS (600), by SEED (another each time); EACH=1: a process for each wallet

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 4
SECONDS ?= 600

help:
	@sed -n '3,7s/^# \{0,3\}//p' Makefile

.PHONY: help demo run test lint bench chaos man clean
.DEFAULT_GOAL := help

# The first interpreter that really starts, is 3.11 or 3.12, and can make a virtual environment.
$(READY): pyproject.toml setup/venv.sh
	@sh setup/venv.sh $(VENV)
	@touch $@

demo: $(READY)
	@$(BIN)/python demo/demo.py

run: $(READY)
	@trap : INT; up() { $(BIN)/bitcoin-mp -regtest uptime >/dev/null 2>&1; }; \
	while up && ! $(BIN)/bitcoin-mp -regtest status >/dev/null 2>&1; do sleep 0.2; done; \
	up || $(BIN)/bitcoind-mp -regtest -daemonwait -listen=0 -fallbackfee=0.0002 || exit; \
	$(BIN)/bitcoin-mp -regtest; \
	if up; then echo "It runs on, in ~/.bitcoind-mp. To stop it: $(BIN)/bitcoin-mp -regtest stop"; fi

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	@$(BIN)/python bench/run.py

chaos: $(READY)
	@$(BIN)/python -m chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(EACH),--each)

man: $(READY)
	$(BIN)/python -m bitcoind_mp.config.manual man

clean:
	rm -rf $(VENV) build dist *.egg-info bench/results .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
