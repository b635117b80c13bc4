# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS := tests

.PHONY: demo test test-slow validate validate-models bench lint format environment browser clean

demo: $(VENV)/.installed-train
	$(BIN)/upbringing demo

environment: $(VENV)/.installed-dev

test: $(VENV)/.installed-dev lint browser
	scripts/test

# With SmolLM2 and the packages fetched (README), the tests on real data run too; without, they are skipped and say so.
SERVED := $(firstword $(wildcard $(CURDIR)/studies/smollm2/models/smollm2-*))
FETCHED := $(wildcard $(CURDIR)/store/packages)
test-slow: $(VENV)/.installed-dev
	UPBRINGING_SERVED_MODEL=$(SERVED) $(BIN)/python -m pytest -m slow $(TESTS)
	UPBRINGING_PACKAGES=$(FETCHED) $(BIN)/python -m pytest -q tests/data/packages tests/studies

validate: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/upbringing validate --output docs/validation.md

# Nightly: PIPELINES of each kind with a planted truth. OTHERS=6 runs 6 of those without a gate, and half of PIPELINES of gated.
# REPEATED=5 runs gated and split ones, and single stages at strengths 1 and .4, from 5 root seeds as well.
# `make validate-models SMOKE=--smoke` runs one of each kind.
PIPELINES ?= 20
OTHERS ?=
REPEATED ?=
validate-models: $(VENV)/.installed-train
	HF_HUB_OFFLINE=1 $(BIN)/python -m upbringing.lab.planted.validate --pipelines $(PIPELINES) $(if $(OTHERS),--others $(OTHERS)) $(if $(REPEATED),--repeated $(REPEATED)) $(SMOKE)

bench: $(VENV)/.installed-dev
	scripts/bench

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

browser:
	scripts/browser

$(VENV)/.installed-train: pyproject.toml constraints.txt scripts/install
	scripts/install $(PYTHON) $(VENV) train
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt scripts/install
	scripts/install $(PYTHON) $(VENV) dev
	touch $@ $(VENV)/.installed-train

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
