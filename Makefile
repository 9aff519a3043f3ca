# Every command of the project; `make` alone lists them. Needs Python 3.11 to 3.13 and a package registry.
PYTHON ?= python3
PORT ?= 5000
BIN := .venv/bin
READY := .venv/ready $(addprefix .venv/ready-,$(EXTRA))
# Stages find `python` here. PYTHONDONTWRITEBYTECODE of the caller would double the time of every start.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE

# An environment does not work in another folder: after a move it is made again.
$(shell test "`cat .venv/home 2>/dev/null`" = "$(CURDIR)" || rm -f .venv/ready*)

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-text repro test test-services test-attack test-exports test-docs test-variants lint deps params docs docs-serve bench bench-scale profile growth results ablate ui lock clean

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-13s %s\n", $$1, $$2}'

setup: $(READY) ## Make the environment in .venv from requirements.lock (EXTRA=gpu, jax, torch or server adds to it)

demo: $(READY) ## Run the whole pipeline on handwritten digits, in about a minute (ARGS="-S train.epochs=60" changes it)
	@$(BIN)/cct demo $(ARGS)

demo-text: $(READY) ## Run it on sentences in twenty languages, in about two minutes
	@$(BIN)/cct demo languages $(ARGS)

repro: $(READY) ## Run what params.yaml describes: CIFAR-10 as committed
	$(BIN)/dvc repro

test: $(READY) ## Run the tests
	$(BIN)/pytest $(ARGS)

test-services: $(READY) .venv/ready-jax .venv/ready-services ## Run the tests that need more: JAX, PostgreSQL, S3, a browser (skipped where not installed)
	$(BIN)/pytest -n2 -m services -rs $(ARGS)

test-attack: $(READY) ## Run the tests that kill real commands, fill disks, and damage or edit files in use
	$(BIN)/pytest --dist load -m attack -rs $(ARGS)

test-exports: $(READY) ## Export every named model, and train and serve those of texts (make test has one of each kind)
	$(BIN)/pytest --dist load -m exports -rs $(ARGS)

test-docs: $(READY) .venv/ready-docs ## Build the documentation, and run every command of README and docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/pytest -n2 -m docs -rs $(ARGS)

test-variants: $(READY) ## Run the tests without oneDNN, with one and two threads, other seeds, in random order, each file alone (an hour)
	scripts/test_variants.sh

lint: $(READY) ## Check the code
	$(BIN)/ruff check
	$(BIN)/ruff format --check

deps: $(READY) ## Write the stages' source files into dvc.yaml, from the code's imports
	$(BIN)/python scripts/dvc_deps.py

docs: $(READY) .venv/ready-docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

docs-serve: $(READY) .venv/ready-docs ## Show the documentation on http://127.0.0.1:8000 while you write it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

params: $(READY) ## Write the comments of params.yaml and the page of parameters, from the schemas
	$(BIN)/python scripts/param_docs.py

bench: $(READY) ## Time training steps against the Keras example and vit-pytorch, and augmentation (TORCH_PYTHON=a Python with vit-pytorch)
	$(BIN)/python benchmarks/speed.py $(if $(TORCH_PYTHON),--torch-python $(TORCH_PYTHON)) $(ARGS)

profile: $(READY) ## Time the parts of a training step on this machine (a minute)
	$(BIN)/python benchmarks/step_profile.py $(ARGS)

growth: $(READY) ## Measure how a step's time and memory grow with batch, size and layers (TORCH_PYTHON as for bench; half an hour)
	$(BIN)/python benchmarks/growth.py $(if $(TORCH_PYTHON),--torch-python $(TORCH_PYTHON)) $(ARGS)

bench-scale: $(READY) ## Measure preprocess and an epoch's input on up to a million generated images (half an hour, 35 GB of disk)
	$(BIN)/python benchmarks/scale.py $(ARGS)

results: $(READY) ## Make the README's table of results from benchmarks/results/
	$(BIN)/python benchmarks/result_pages.py

ablate: $(READY) ## Change one ingredient of the recipe at a time, and draw what each was worth (ARGS="--only with-mixup")
	@$(BIN)/cct ablate $(ARGS)

ui: $(READY) ## Open the MLflow UI on http://127.0.0.1:5000 (PORT=5001 for another port)
	@$(BIN)/cct ui --port $(PORT)

lock: $(READY) ## Pin the newest allowed versions in the lock files
	$(BIN)/uv pip compile $(COMPILE) --upgrade -o requirements.lock
	for extra in gpu jax torch server services docs; do $(BIN)/uv pip compile $(COMPILE) --extra $$extra -c requirements.lock \
	  $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock | sort -u) \
	  -o requirements-$$extra.lock || exit; done
COMPILE := pyproject.toml --extra export --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-index-url --quiet

clean: ## Remove the environment, nothing else
	rm -rf .venv

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) scripts/environment.py

.venv/ready-%: requirements-%.lock .venv/ready
	@$(PYTHON) scripts/environment.py $*
