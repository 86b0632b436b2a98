# SPDX-License-Identifier: GPL-3.0-or-later
# `make run` starts the box on a fresh machine, `make test` tests it. Nothing here asks a question.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done
GEN_VENV := .venv-gen
GEN_PIP := $(GEN_VENV)/bin/python -m pip --disable-pip-version-check --no-input
TORCH := torch==2.13.0
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# What the box uses when it is there: sound, pitch, pictures, a voice.
DEBIAN := python3-venv jackd2 libjack-jackd2-0 librubberband2 libegl1 libgl1 libgles2 libgl1-mesa-dri libx11-6 libxcursor1 \
	libxi6 libxinerama1 libxrandr2 espeak-ng
# What the tests drive it with: networks of their own, OSC tools, an X server with two monitors, a video grabber.
DEBIAN_TEST := iproute2 liblo-tools xserver-xorg-core xserver-xorg-video-dummy x11-xserver-utils ffmpeg mixxx-data
KERNELS := $(shell find appliance/engine appliance/nodes appliance/bus -name '*.py') appliance/namespace.py

# Else every process would compile every file anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run setup test lint reference pages bench soak soak-tests soak-set kernels gen-env gen-test clean

run: setup
	@exec $(BIN)/appliance run $(ARGS)

setup: $(DONE)/debian $(DONE)/python $(DONE)/kernels

test: setup $(DONE)/debian-test $(DONE)/test
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else # two processes share what only computes, then what mostly waits; what looks at single cycles runs alone, and so does, once
# more, what has failed beside others
	@status=0; \
	$(BIN)/python -m pytest -n 2 --kind calm --durations 15 || status=1; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --kind waiting --durations 15 || \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --kind waiting || status=1; \
	$(BIN)/python -m pytest --kind strict --durations 15 || status=1; \
	exit $$status
endif

lint: $(DONE)/test $(DONE)/lint
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/python -m appliance.reference --check docs/reference.md
	$(BIN)/python -m appliance.control.mapping.pages --check docs/controllers

reference: $(DONE)/python
	$(BIN)/python -m appliance.reference docs/reference.md

# The pictures of the shipped profiles.
pages: $(DONE)/python
	$(BIN)/python -m appliance.control.mapping.pages docs/controllers

bench: setup
	$(BIN)/appliance bench $(or $(NAME),all) $(ARGS)

soak: soak-tests soak-set

# The long forms of the tests.
soak-tests: setup $(DONE)/debian-test $(DONE)/test
	$(BIN)/python -m pytest -o addopts='-ra --strict-markers --import-mode=importlib -m soak' $(ARGS)

# A set for MINUTES, with a fault every EVERY seconds drawn from SEED; AUDIO: a folder with more files to play.
soak-set: setup $(DONE)/debian-test $(DONE)/test
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),30) --seed $(or $(SEED),1) --every $(or $(EVERY),5) \
		$(if $(AUDIO),--audio $(AUDIO)) --out build/soak

kernels: $(DONE)/python
	$(BIN)/python -m appliance.engine.compile

# An environment of their own for models: some gigabytes. gen.python in the config is then .venv-gen/bin/python.
gen-env: $(GEN_VENV)/.done

# What is proven with tiny models of the libraries' real architectures.
gen-test: setup gen-env $(DONE)/test
	APPLIANCE_GEN_PYTHON=$(abspath $(GEN_VENV))/bin/python $(BIN)/python -m pytest tests/gen/test_models.py \
		-m "soak or not soak" $(ARGS)

clean:
	rm -rf $(VENV) $(GEN_VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find appliance benchmarks tests -name __pycache__ -prune -exec rm -rf {} +

# Stamps: what has been done is not done again.

$(DONE)/debian: scripts/debian-packages Makefile
	@scripts/debian-packages $(DEBIAN)
	@mkdir -p $(@D) && touch $@

$(DONE)/debian-test: scripts/debian-packages Makefile
	@scripts/debian-packages $(DEBIAN_TEST)
	@mkdir -p $(@D) && touch $@

$(DONE)/venv: | $(DONE)/debian
	@python=$$(scripts/find-python) && $$python -m venv $(VENV)
	@touch $@

$(DONE)/python: pyproject.toml constraints.txt | $(DONE)/venv
	$(PIP) install -qq --constraint constraints.txt --editable '.[link,keys]' || \
		$(PIP) install -qq --constraint constraints.txt --editable '.[link]' || \
		$(PIP) install -qq --constraint constraints.txt --editable .
	@touch $@

$(DONE)/test: $(DONE)/python
	$(PIP) install -qq --constraint constraints.txt --editable '.[test]'
	@touch $@

$(DONE)/lint: $(DONE)/python
	$(PIP) install -qq --constraint constraints.txt --editable '.[lint]'
	@touch $@

# stable-audio-tools pins what fits neither numpy 2 nor this torch, so it comes without its dependencies: those that it needs to
# play are named in the file.
$(GEN_VENV)/.done: requirements-gen.txt requirements-gen-bare.txt | $(DONE)/venv
	$$(scripts/find-python) -m venv $(GEN_VENV)
	$(GEN_PIP) install -qq $(TORCH)
	$(GEN_PIP) install -qq --no-deps -r requirements-gen-bare.txt
	$(GEN_PIP) install -qq -r requirements-gen.txt
	@touch $@

$(DONE)/kernels: $(KERNELS) | $(DONE)/python
	$(BIN)/python -m appliance.engine.compile
	$(BIN)/python -m compileall -q appliance
	@touch $@
