# `make book` and `make test` need Python 3.11 to 3.13 and make, and set up the rest.
PYTHON ?= python3
PROFILE ?= book
SEED ?= 0
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help book learn reproduce test serve bench lint lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

book: $(READY) ## Execute the chapters, judge the claims, render the book; STRICT=1: only if all is sound; SEED=7
	$(BIN)/python -m repro book --profile $(PROFILE) --seed $(SEED) $(if $(STRICT),--strict)

learn: $(READY) ## Execute lessons and recipes alone and render the book: for those who want the book and not the proof
	$(BIN)/python -m repro learn

reproduce: $(READY) ## Execute the book from another seed and compare with the newest replication, or FROM=a claims.json
	$(BIN)/python -m repro reproduce $(FROM) $(if $(filter-out 0,$(SEED)),--seed $(SEED))

test: lint ## Lint, then test the layer, the suite, the chapters and the pages
	$(BIN)/python -m pytest

serve: $(READY) ## Show the built book on localhost
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/$(PROFILE)/html

bench: $(READY) ## Time the layer against its peers and judge the targets; QUICK=1: in a minute
	$(BIN)/python benchmarks/bench.py $(if $(QUICK),--quick)

lint: $(READY) ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# One lock for Python 3.11 to 3.13 on Linux x86-64 and macOS arm64.
lock: $(READY) ## Resolve pyproject.toml anew into requirements.txt
	$(BIN)/uv pip compile pyproject.toml --group book --group test --group lock --universal --python-version 3.11 \
		--generate-hashes --upgrade --quiet --custom-compile-command "make lock" --output-file requirements.txt

clean: ## Remove the environment and everything built
	rm -rf .venv _build

# uv installs everything else in seconds; it is itself installed from the lock, hash and all.
$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "The lock is for Python 3.11 to 3.13: make PYTHON=…")'
	$(PYTHON) -m venv --clear .venv
	awk '/^[^ #]/ {uv = /^uv==/} uv' requirements.txt > .venv/uv.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/uv pip sync --quiet --compile-bytecode --python .venv --require-hashes requirements.txt
	$(BIN)/python -c 'import os, site; open(site.getsitepackages()[0] + "/gru-book.pth", "w").write(os.getcwd())'
	touch $(READY)
