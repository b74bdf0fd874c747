# Everything a developer types. The virtual environment is made when it is first needed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# What `make campaign` takes; from the command line alone, for some environments have a NAME of their own.
NAME :=
SEED :=
TRIALS :=
PLANT :=

.PHONY: demo test lint bench campaign schema clean

demo: $(READY)
	$(BIN)/connector demo

# Three at once on two cores: many tests wait for others.
test: $(READY)
	$(BIN)/pytest -n 3 --dist loadgroup

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python tests/benchmarks/road.py
	$(BIN)/python tests/benchmarks/audit.py

# All campaigns in full, or one of them: make campaign NAME=threads SEED=7; tests/campaigns/README.md says more.
campaign: $(READY)
	$(BIN)/python -m tests.campaigns $(NAME) $(SEED:%=--seed %) $(TRIALS:%=--trials %) $(PLANT:%=--plant %)

# The JSON Schema of config/connector.toml, for editors.
schema: $(READY)
	$(BIN)/python -m connector.config > config/connector.schema.json

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
