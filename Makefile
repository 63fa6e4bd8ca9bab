# make demo   set up and run the demo (two cores, minutes)        make test   set up and run all tests
# make test-cluster   as root: a real Slurm, the real image, and the tests that need both
# A CPU build of torch comes from its own index on most machines: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
CORES ?= all
SHELL := /bin/bash
BIN := $(VENV)/bin
RUN := PATH="$(abspath $(BIN)):$$PATH"
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH := $(shell sed -n 's/^torch==/torch==/p' envs/cpu.txt)

.PHONY: image demo test test-cluster walk bench report dashboard lint types schema lock clean

demo: $(VENV)/.demo
	$(RUN) snakemake --cores $(CORES) --quiet rules progress reason host -- all

test: $(VENV)/.test
	$(RUN) python -m pytest -n 2 --dist loadfile tests

# Debian or Ubuntu: installs Slurm and Apptainer, builds the CPU image; a skipped test is a failure.
test-cluster: $(VENV)/.test
	$(RUN) tools/test-cluster

# The paper's path on a miniature of both public releases, from the first download to the report.
walk: $(VENV)/.test
	$(RUN) TPCFM_WALK=1 python -m pytest -v tests/workflow/test_workflow_walk.py

bench: $(VENV)/.test
	$(RUN) python benchmarks/run.py

dashboard: $(VENV)/.demo
	$(RUN) tpcfm mlflow ui

lint: $(VENV)/.test
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) snakefmt --check Snakefile workflow
	$(RUN) snakemake --lint

types: $(VENV)/.test
	$(RUN) mypy

# The CPU image of containers/, without root; see docs/how-to/containers.md for machines without a registry.
image: $(VENV)/.demo
	$(RUN) python containers/build.py

schema: $(VENV)/.demo
	$(RUN) tpcfm config schema --out workflow/schemas/config.schema.json

lock: $(VENV)/.test
	$(RUN) python tools/lock.py

# The environment from the locks: first what runs, then the test tools on top.
$(VENV)/.demo: envs/cpu.txt envs/workflow.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) -r envs/cpu.txt -r envs/workflow.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.test: $(VENV)/.demo envs/test.txt
	$(PIP) -r envs/test.txt
	touch $@

clean:
	rm -rf results/[!r]* .snakemake
