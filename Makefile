# make up    everything on http://127.0.0.1:$(PORT), with the demo company on the first run
# make test  lint, types, import contracts, migrations, deployment checks and all tests
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 USE_HUB_KERNELS=NO

.PHONY: up test test-offline test-no-route test-gguf gguf install lock

up: $(VENV)/.installed
	@exec $(BIN)/python manage.py up --host $(HOST) --port $(PORT)

test: $(VENV)/.installed-test
	@$(BIN)/python -m tests

# The whole product in a network namespace without a route, every outward call traced (minutes; strace, iproute2)
test-offline: $(VENV)/.installed-test
	@$(BIN)/python -m pytest tests/runtime/test_offline.py -s

# All that `make test` runs, in a network namespace that has a loopback and nothing else (root, iproute2)
test-no-route: $(VENV)/.installed-test
	@$(BIN)/python -m tests --no-route

# The GGUF engine, on llama.cpp itself (compiled here in minutes; cmake and a C++ compiler), and then its tests
test-gguf: $(VENV)/.installed-test $(VENV)/.installed-gguf
	@$(BIN)/python -m pytest tests/inference/gguf tests/models/test_gguf.py tests/models/test_adapting.py

gguf: $(VENV)/.installed-gguf

install: $(VENV)/.installed

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed ($(PYTHON) was not found); set PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; $(PYTHON) is `$(PYTHON) -V`. Set PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian: apt install python3.11-venv"; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 5 << 30)' || { echo "Installing needs 5 GiB free here."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python deploy/requirements.txt
	@echo "Installing (1 of 2): torch"
	@$(PIP) install "$$(grep '^torch==' deploy/requirements.txt)"
	@echo "Installing (2 of 2): everything else, exactly as pinned in deploy/requirements.txt"
	@$(PIP) install --no-deps --requirement deploy/requirements.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed deploy/requirements-test.txt
	@echo "Installing what the tests need"
	@$(PIP) install --no-deps --requirement deploy/requirements-test.txt
	@touch $@

$(VENV)/.installed-gguf: $(VENV)/.installed deploy/requirements-gguf.txt
	@command -v cmake >/dev/null && command -v c++ >/dev/null || { echo "cmake and a C++ compiler are needed; on Debian: apt install cmake g++"; exit 1; }
	@echo "Compiling llama.cpp for this machine"
	@$(PIP) install --no-deps --requirement deploy/requirements-gguf.txt
	@touch $@

lock:
	@$(PYTHON) deploy/lock.py
