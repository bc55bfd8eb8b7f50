# Two commands matter: `make demo` and `make test`. Each sets up .venv from nothing but Python 3.11 and make.
PY ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# Images of containers often forbid it; then each of the hundred processes of a demo would compile 2,000 modules again (5 s of CPU time).
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo test test-slow test-gpu faults lint serve bench pretrained train-embedded

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ok ## install into .venv, at the versions of constraints.txt

demo: .venv/.ok ## the whole chain on real pictures, to runs/demo/report.html (up to 20 minutes on two cores)
	$(BIN)/seedbed demo

test: .venv/.ok ## the tests, but for slow ones and those that need a GPU (ARGS="-k name" for some of them)
	$(BIN)/python -m pytest $(ARGS)

test-slow: .venv/.ok ## the tests that take their time
	$(BIN)/python -m pytest -m "slow and not gpu" $(ARGS)

test-gpu: .venv/.ok ## the tests that need CUDA
	$(BIN)/python -m pytest -m gpu $(ARGS)

faults: .venv/.ok ## what a hostile world sends and what breaks in the middle, slow ones too (ARGS="-k curation" for a part)
	$(BIN)/python -m pytest tests/faults -m "not gpu" $(ARGS)

lint: .venv/.ok ## style, types and the laws of the house
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

serve: .venv/.ok ## answer requests on http://127.0.0.1:8000 with the best generator there is
	$(BIN)/seedbed serve

pretrained: .venv/.ok ## embed the demo's generator in the package (models/pretrained)
	$(BIN)/python -m pipelines.embed runs/demo

train-embedded: .venv/.ok ## train the generator of the package on food and animals, and embed it (up to an hour on two cores)
	$(BIN)/seedbed demo embedded --root runs/embedded
	$(BIN)/python -m pipelines.embed runs/embedded

bench: .venv/.ok ## quick speed measurements beside peers (ARGS="NAME --json FILE")
	$(BIN)/seedbed bench $(or $(ARGS),all --quick)

# A current pip resolves in half the time of the one that comes with Python 3.11; without --no-compile it would compile 22,000 files
# of which a few thousand are ever imported (262 s of CPU time become 82 s).
.venv/.ok: pyproject.toml constraints.txt
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.version_info >= (3, 13))' || \
		{ echo "Python 3.11 or 3.12 needed, $(PY) is $$($(PY) --version); give one with make PY=python3.11"; exit 2; }
	$(PY) -m venv .venv
	@echo "installing into .venv, some 180 packages: two to five minutes"
	$(BIN)/pip install -qq -U pip -c constraints.txt
	$(BIN)/pip install -qq --no-compile -e '.[dev]' -c constraints.txt
	@touch $@
