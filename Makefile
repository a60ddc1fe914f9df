# `make book` and `make test` need Python 3.11 to 3.13 and make, and set up the rest.
PYTHON ?= python3
PROFILE ?= book
SEED ?= 0
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help book learn reproduce test test-oldest test-newest serve bench lint lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

book: $(READY) ## Execute the chapters, judge the claims, render the book; STRICT=1: only if all is sound; SEED=7
	$(BIN)/python -m repro book --profile $(PROFILE) --seed $(SEED) $(if $(STRICT),--strict)

learn: $(READY) ## Execute lessons and recipes alone and render the book: for those who want the book and not the proof
	$(BIN)/python -m repro learn

reproduce: $(READY) ## Execute the book from another seed and compare with the newest replication, or FROM=a claims.json
	$(BIN)/python -m repro reproduce $(FROM) $(if $(filter-out 0,$(SEED)),--seed $(SEED))

test: lint ## Lint, then test the layer, the suite, the chapters and the pages
	$(BIN)/python -m pytest

test-oldest: $(READY) ## Test the layer with the oldest TensorFlow, Keras and NumPy that pyproject.toml allows
	$(call test_layer_with,--resolution lowest-direct,'onnx<1.19')

test-newest: $(READY) ## The same with the newest, pre-releases too
	$(call test_layer_with,--prerelease allow,--prerelease allow)

# First the versions that an empty environment gets, then the tools of the tests, and the tests that need no more than these.
# onnx 1.19 needs a newer ml_dtypes than the oldest TensorFlow allows, and does not say so.
define test_layer_with
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python _build/$@
	$(BIN)/uv pip install --quiet --python _build/$@ $(1) -r pyproject.toml
	$(BIN)/uv pip install --quiet --python _build/$@ -r pyproject.toml --group test $(2)
	$(BIN)/uv pip list --quiet --python _build/$@ | grep -E '^(tensorflow|keras|numpy) '
	PYTHONPATH=$(CURDIR) _build/$@/bin/python -m pytest $$(grep -LE '^(from|import) (repro|mini_book|real_book|bench|playwright)' tests/test_*.py)
endef

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
