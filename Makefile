# The verbs of this repository. `make help` lists them.
#
#   .venv        everything a hub needs, from locks/hub.txt with hashes
#   .venv (+dev) the same plus what the tests need, from locks/dev.txt
#   .venv (+tests) the same plus torch for training, all of it compiled, and .venv-openvino
#   .venv-openvino  over it, another wheel of ONNX Runtime for a pool, from locks/openvino.txt
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Our own bytecode must not outlive a change of file times in a fresh clone: what is compiled of ours
# carries the hash of its source, and processes write none.
export PYTHONDONTWRITEBYTECODE := 1
OURS := core accel models registry tenancy training serving client benchmarks
# pip compiles on one core what it installs, which is a third of its time; this takes all of them.
# A few packages hold templates that are no Python: what cannot be compiled stays as it is, and so do
# the tests of others, a sixth of all.
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '/site-packages/.*/tests/' "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || true
unexport RAY_ADDRESS

# Its maker has wheels for this processor only; elsewhere the tests that need it say that they skip.
OPENVINO := $(if $(filter x86_64,$(shell uname -m)),.venv-openvino/.made)

.PHONY: help
help:  ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Plaza needs Python 3.11 or newer; say which: make PYTHON=python3.12 …"; exit 1; }
	@echo "[1/3] making .venv"
	@$(PYTHON) -m venv .venv || { echo "the venv module is missing (Debian: apt install python3-venv)"; exit 1; }
	@touch $@

.venv/.hub: .venv/.made locks/hub.txt pyproject.toml
	@echo "[2/3] installing the hub from locks/hub.txt (about a minute)"
	@$(PIP) install --no-compile --require-hashes -r locks/hub.txt
	@echo "[3/3] installing Plaza"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# What runs needs it compiled; who only checks or installs more does not wait for it.
.venv/.ready: .venv/.hub
	@$(COMPILE)
	@touch $@

.venv/.dev: .venv/.hub locks/dev.txt
	@echo "[tests 1/2] installing what the tests need from locks/dev.txt"
	@$(PIP) install --no-compile --require-hashes -r locks/dev.txt
	@touch $@

.venv/.tests: .venv/.dev $(OPENVINO)
	@echo "[tests 2/2] installing torch for the training room"
	@$(PIP) install --no-compile torch==2.13.0 onnxscript
	@$(COMPILE)
	@touch .venv/.ready $@

.PHONY: native
native: .venv/.hub  ## compile the data path: half as much again of small requests (a minute, a C compiler)
	@$(BIN)/python -m plaza_serving.native --state | grep -qx compiled || { \
	  $(BIN)/python -c 'import mypyc, setuptools' 2>/dev/null \
	    || $(PIP) install --no-compile --require-hashes -r locks/native.txt; \
	  $(BIN)/python -m plaza_serving.native $(NATIVE_FLAGS); }

.PHONY: demo
demo: .venv/.ready  ## start a hub, register the shipped models, call each family (ONCE=1 stops after)
	@$(BIN)/python demo/demo.py $(if $(ONCE),--once)

.PHONY: up
up: .venv/.ready  ## run a hub in the foreground
	@$(BIN)/plaza up

.PHONY: check lint types floors
check: lint types floors  ## formatting, lint, types, floors
lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
types: .venv/.dev
	$(BIN)/mypy
floors: .venv/.dev
	$(BIN)/lint-imports

.venv-openvino/.made: locks/openvino.txt .venv/.hub
	@echo "[openvino] installing another wheel of ONNX Runtime over .venv (84 MB, seconds)"
	@rm -rf .venv-openvino
	@$(BIN)/python -m plaza_accel.providers.overlay .venv-openvino --require-hashes -r locks/openvino.txt
	@touch $@

.PHONY: ours
ours: .venv/.hub
	@$(BIN)/python -m compileall -q --invalidation-mode checked-hash $(OURS)

.PHONY: unit
unit: .venv/.tests ours  ## tests that need no hub, on up to four cores
	PLAZA_NATIVE=off $(BIN)/pytest $(MANY) -m "not hub and not prove"

# What is compiled does the same as what is not: the tests of its rooms once more.
.PHONY: unit-native
unit-native: .venv/.tests ours
	@if $(BIN)/python -m plaza_serving.native --state | grep -qx compiled; then \
	  PLAZA_NATIVE=require $(BIN)/pytest $(MANY) -m "not hub and not prove" $(NATIVE_TESTS); \
	else echo "NOT RUN: the tests of the compiled data path, for nothing is compiled"; fi
MANY := -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
NATIVE_TESTS := tests/serving/dataplane tests/serving/doors tests/serving/native tests/serving/rayapp

.PHONY: test
test:  ## everything CI runs; a hub has the machine for itself
	@$(MAKE) --no-print-directory .venv/.dev
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target types .venv/.tests lint floors
	@$(MAKE) --no-print-directory native NATIVE_FLAGS=--if-possible
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory unit-native
	$(BIN)/pytest -q -m "hub and not prove" tests/hub

.PHONY: openvino
openvino: .venv/.tests  ## an environment for pools on OpenVINO, and the examination in it
	.venv-openvino/bin/python -m pytest -q -p no:cacheprovider tests/accel/providers/test_openvino.py tests/accel/conformance/test_conformance.py

.PHONY: prove
prove: .venv/.tests ours native  ## every bar in full; writes prove.json
	$(BIN)/python -m benchmarks.prove

.PHONY: bench
bench: .venv/.ready ours native  ## Plaza beside other servers in one run, over an hour (PARTS="--only conv --rounds 3")
	$(BIN)/python -m benchmarks.bench $(PARTS)

.PHONY: conformance
conformance: .venv/.ready $(OPENVINO) ours native  ## unmodified clients of others against a hub; writes docs/conformance.md
	$(BIN)/python -m benchmarks.conformance

.PHONY: quality
quality: .venv/.tests ours  ## every figure of the models, asked of a hub; docs/quality.md (ONLY="name …" STEP=measure|retrain)
	$(BIN)/python -m benchmarks.quality $(if $(ONLY),--only $(ONLY)) $(if $(STEP),--step $(STEP))

.PHONY: fix
fix: .venv/.dev  ## format and apply safe lint fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: docs
docs: .venv/.hub  ## write the generated pages anew
	$(BIN)/python -m plaza_core.settings_page > docs/settings.md
	$(BIN)/python -m plaza_accel.providers.options_page > docs/provider-options.md
	$(BIN)/python -m plaza_serving.control.roles_page > docs/roles.md
	$(BIN)/python -m plaza_serving.control.openapi > contracts/openapi-admin.json
	$(BIN)/python -m plaza_serving.doors.openapi > contracts/openapi-inference.json

.PHONY: lock
lock: .venv/.hub  ## resolve the locks anew (needs uv)
	uv pip compile pyproject.toml --extra hub --extra ort-cpu --group build --group dev $(LOCK) -o locks/dev.txt
	uv pip compile pyproject.toml --extra hub --extra ort-cpu --group build $(LOCK) -c locks/dev.txt -o locks/hub.txt
	uv pip compile --group native $(LOCK) -c locks/dev.txt -o locks/native.txt
	uv pip compile --group overlay-openvino --no-deps $(LOCK) -o locks/openvino.txt
	$(BIN)/python -m benchmarks.conformance.locks
	for peer in mosec mlserver litserve bentoml; do \
	  uv pip compile benchmarks/peers/servers/$${peer}_server.py $(LOCK) -o benchmarks/peers/locks/$$peer.txt; done
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --upgrade

.PHONY: clean
clean:  ## remove the environment and this node's state
	rm -rf .venv .venv-openvino .conformance .peers .plaza
