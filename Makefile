# Every target calls the same functions as the notebooks and the `vigie` command.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo data train evaluate export tensorboard notebooks kafka stop-kafka deploy-stream \
        stream-status stop-stream test test-all lint bench clean

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
VIGIE := $(BIN)/vigie
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

# What a run is made from; each is left out when it is empty.
EXPERIMENT ?=
VOC ?=
NAME ?=
STEPS ?=
# WSL sets it in every environment, to the computer's name.
ifeq ($(origin NAME),environment)
NAME :=
endif
RUN_OPTIONS := $(if $(EXPERIMENT),--experiment '$(EXPERIMENT)') $(if $(VOC),--voc '$(VOC)') \
               $(if $(NAME),--name '$(NAME)') $(if $(STEPS),--steps '$(STEPS)')

# What is deployed.
SOURCE ?=
MODEL ?=
BUS ?=
STREAM_OPTIONS := $(if $(SOURCE),--source '$(SOURCE)') $(if $(MODEL),--model '$(MODEL)') $(if $(BUS),--bus '$(BUS)')

SECONDS ?=
# More words for TensorBoard or JupyterLab, such as ARGS="--port 7000".
ARGS ?=
PYTEST_OPTIONS ?=

# A misspelt option would be passed over in silence.
OPTIONS := EXPERIMENT VOC NAME STEPS SOURCE MODEL BUS SECONDS ARGS PYTEST_OPTIONS PYTHON
GIVEN := $(filter-out -%,$(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word))))))
UNKNOWN := $(filter-out $(OPTIONS) KAFKA_BOOTSTRAP_SERVERS VIGIE_%,$(GIVEN))
$(if $(UNKNOWN),$(error there is no option $(UNKNOWN); there are: $(OPTIONS)))

help:  ## this list
	@echo "Vigie: from annotated pictures to a live page. Try: make demo"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 24
	@echo "Options: EXPERIMENT= VOC= NAME= STEPS= (data to export)  SOURCE= MODEL= BUS= (deploy-stream)  SECONDS= (demo)"

# ---- environment

setup: $(VENV)/.user  ## the environment: .venv from pinned constraints

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON) here; install Python 3.11, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "make: $(PYTHON) is not Python 3.11; name another: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is touched last, so that a broken installation is never taken for whole.
$(VENV)/.user: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[stream,train]'
	@touch $@

$(VENV)/.developer: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[stream,train,onnxruntime,openvino,dev]'
	@touch $@ $(VENV)/.user

# ---- pictures to model

demo: setup  ## everything on drawn faces, up to the live page; SECONDS=30 checks it and ends
	@$(VIGIE) demo $(if $(SECONDS),--seconds '$(SECONDS)')

# Large blocks of memory in huge pages, which shortens a training step (bench/README.md). A C library reads it when a
# process starts.
train notebooks: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

data train evaluate export: setup
	@$(VIGIE) make $@ $(RUN_OPTIONS)

data: ## notebook 01: annotated pictures to TFRecord
train: ## notebook 02: records to a checkpoint
evaluate: ## notebook 03: how good the checkpoint is
export: ## notebook 04: the checkpoint to a model bundle in models/

tensorboard: setup  ## the curves of all runs
	$(BIN)/tensorboard --logdir "$${VIGIE_RUNS:-runs}" $(ARGS)

notebooks: setup  ## JupyterLab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=. \
	  --LabApp.default_url=/lab/tree/notebooks/01_data.ipynb $(ARGS)

# ---- the live side

kafka: setup  ## a single-node Apache Kafka on loopback, in runs/kafka
	@$(VIGIE) kafka start

stop-kafka: setup  ## end it
	@$(VIGIE) kafka stop

deploy-stream: setup  ## cameras to Kafka to detections to the live page
	@$(VIGIE) stream up --start-kafka $(STREAM_OPTIONS)

stream-status: setup  ## what runs and how far behind it is
	@$(VIGIE) stream status

stop-stream: setup  ## end it
	@$(VIGIE) stream stop

# ---- development

test: $(VENV)/.developer  ## the tests, but for the slow ones
	$(BIN)/python -m pytest -m 'not slow' $(PYTEST_OPTIONS)

test-all: $(VENV)/.developer  ## all tests
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: $(VENV)/.developer  ## ruff, mypy, the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.developer  ## measurements beside what one would use instead
	$(BIN)/python bench/run.py

clean:  ## the environment and what tools left; never runs/ and models/
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './runs/*' -prune -exec rm -rf {} +
