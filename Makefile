PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUIETLY := --quiet --disable-pip-version-check
PIP := $(BIN)/python -m pip install $(QUIETLY)
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
UV := $(INSTALL) --require-hashes
# Engines spin on busy machines when they are given more threads than cores.
export OMP_NUM_THREADS ?= 1

.PHONY: demo packages test fuzz check bench fmt docs lock-dev clean help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The files have every package, so nothing is resolved. If it were, pip would refuse the lock as soon
# as a newer version of a package that another one asks for with an extra is published. pip gets uv, and
# uv everything else, in a fifth of pip's time. A pip of the environment's own takes longer to install than
# all the rest, so Python's own pip is used if there is one.
$(VENV)/.demo: pyproject.toml requirements/demo.txt
	$(PYTHON) -m venv --without-pip $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements/demo.txt >$(VENV)/uv.txt
	$(PYTHON) -m pip --python $(BIN)/python install $(QUIETLY) --no-deps --require-hashes \
		--requirement $(VENV)/uv.txt 2>/dev/null || { $(BIN)/python -m ensurepip >/dev/null && \
		$(PIP) --no-deps --require-hashes --requirement $(VENV)/uv.txt; }
	$(UV) --requirement requirements/demo.txt
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

# Engines' processes keep no bytecode, so mealkit's is made here.
$(VENV)/.ready: $(VENV)/.demo requirements/dev.txt
	$(BIN)/python -m ensurepip >/dev/null
	$(UV) --compile-bytecode --requirement requirements/dev.txt
	$(BIN)/python -m compileall -q mealkit
	@touch $@

# What the tests need beyond the virtual environment, each in a folder of its own. If one cannot be
# downloaded or built, its tests are skipped with a reason.
ENGINES := .engines/clients/.ready .engines/cog/.ready .engines/readers/.ready
ifeq ($(shell uname -sm),Linux x86_64)
# First what takes longest.
ENGINES := .engines/llama-cpp/.ready .engines/transformers/.ready .engines/vllm/.ready $(ENGINES)
endif

packages: $(ENGINES)  ## install the engines and clients that the tests need

LLAMA := kits/tiny-chat-llama-cpp
.engines/llama-cpp/.ready: requirements/engine-llama-cpp.txt $(LLAMA)/wheel.sha256 | $(VENV)/.ready
	@rm -rf $(@D)
	@$(LLAMA)/build_wheel.sh \
		&& $(UV) --target $(@D) --compile-bytecode --only-binary :all: --requirement $< \
		&& $(PIP) --target $(@D) --no-deps $(LLAMA)/wheels/llama_cpp_python-*.whl \
		&& touch $@ || rm -rf $(@D)

TORCH := kits/tiny-chat-transformers
.engines/transformers/.ready: requirements/engine-transformers.txt $(TORCH)/wheel.sha256 | $(VENV)/.ready
	@rm -rf $(@D)
	@$(TORCH)/get_wheel.sh && $(UV) --target $(@D) --compile-bytecode --only-binary :all: \
		--find-links $(TORCH)/wheels --requirement $< && touch $@ || rm -rf $(@D)

# More than a hundred packages, 3 GB. Compiled at once, because each of vLLM's four processes would otherwise
# compile thousands of modules at every start, and keep none. After transformers, which downloads torch.
.engines/vllm/.ready: requirements/engine-vllm.txt $(TORCH)/wheel.sha256 | $(VENV)/.ready .engines/transformers/.ready
	@rm -rf $(@D)
	@$(TORCH)/get_wheel.sh && $(UV) --target $(@D) --compile-bytecode --only-binary :all: \
		--find-links $(TORCH)/wheels --requirement $< && touch $@ || rm -rf $(@D)

.engines/cog/.ready: requirements/engine-cog.txt | $(VENV)/.ready
	@rm -rf $(@D)
	@$(UV) --target $(@D) --only-binary :all: --requirement $< && touch $@ || rm -rf $(@D)

# Clients, not engines: most of their modules are never imported, so each is compiled by its first import.
.engines/clients/.ready: requirements/clients.txt | $(VENV)/.ready
	@rm -rf $(@D)
	@$(UV) --target $(@D) --only-binary :all: --requirement $< && touch $@ || rm -rf $(@D)

.engines/readers/.ready: requirements/readers.txt | $(VENV)/.ready
	@rm -rf $(@D)
	@$(UV) --target $(@D) --only-binary :all: --requirement $< && touch $@ || rm -rf $(@D)

# The lock has no addresses of packages: npm gets them from the registry that it is configured for.
NPM := tests/end_to_end/clients
.engines/npm/.ready: $(NPM)/package.json $(NPM)/package-lock.json
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@(cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel error) \
		&& touch $@ || rm -rf $(@D)

demo: $(VENV)/.demo  ## lock, build, run and query the example kit
	@PATH="$(CURDIR)/$(BIN):$$PATH" kits/sbert-minilm/demo.sh

# With COVERAGE=1 the tests fail, too, where they reach less of mealkit than the floor in
# pyproject.toml; processes that tests start are not measured.
test: $(VENV)/.ready packages .engines/npm/.ready  ## run every test this machine can run
	$(BIN)/pytest -n auto --dist loadgroup $(if $(COVERAGE),--cov --cov-report=)

# Without it the fuzzers are not guided by coverage.
.engines/fuzz/.ready: requirements/fuzz.txt | $(VENV)/.ready
	@rm -rf $(@D)
	@$(UV) --target $(@D) --only-binary :all: --requirement $< && touch $@ || rm -rf $(@D)

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.ready .engines/fuzz/.ready  ## fuzz each parser for FUZZ_SECONDS, guided by coverage
	PYTHONPATH=tests:.engines/fuzz $(BIN)/python -m fuzz $(FUZZ_SECONDS)

check: $(VENV)/.ready  ## style, types, import rules, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m reference_pages --check docs/reference

bench: $(VENV)/.ready  ## measure against the budgets; prints ratios
	$(BIN)/python -m benchmarks

fmt: $(VENV)/.ready  ## format, and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.ready  ## regenerate the reference pages
	$(BIN)/python -m reference_pages docs/reference

lock-dev: $(VENV)/.ready  ## update the pins of the development environment and the demo
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --group demo --constraint requirements/dev.txt --no-annotate \
		pyproject.toml -o requirements/demo.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --group clients -o requirements/clients.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --group fuzz -o requirements/fuzz.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --group readers -o requirements/readers.txt
	cd $(NPM) && npm update --package-lock-only --ignore-scripts --no-audit --no-fund

clean:  ## delete what make created
	rm -rf $(VENV) .engines .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
