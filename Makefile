# "make help" lists the targets. Each sets up what it needs, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
SOURCES := chatgpt4online tests examples scripts $(wildcard benchmarks)
METADATA := setup.py chatgpt4online/_version.py
COMPILE :=
JOBS ?= 1
RUNS ?= 1000000
# Tests run in several processes; "make test ARGS='-n 0'" runs them in one, as a debugger needs.
WORKERS := -n auto --maxprocesses 4 --dist worksteal
# langchain-tests installs plugins that only tests/integrations needs; loading them takes seconds.
LEAN := $(addprefix -p no:,anyio benchmark codspeed langsmith_plugin recording socket syrupy)
# Coverage of "make test" is measured with the oldest dependencies, and of these with the newest too:
# they cover what only newer versions run, what "make test" leaves out, and "while True", which Python
# 3.8 does not report.
NEWEST := tests/docs tests/integrations tests/live \
	$(patsubst %,tests/unit/test_%.py,moments option_types types) \
	$(patsubst %,tests/loopback/test_%.py,cli discussions display map map_ends stream terminal)
# Without bytecode, each program that a test starts would compile the package again.
export PYTHONDONTWRITEBYTECODE :=

# Two targets must not install into the virtual environment at the same time.
.NOTPARALLEL:
.PHONY: help demo test lint types docs cover bench live fuzz soak mutate matrix build check clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10
	@echo
	@echo "make test ARGS=tests/unit                           one folder, in seconds"
	@echo "make test ARGS=tests/unit/test_retry.py             one file"
	@echo "make test ARGS='--last-failed'                      what failed the last time"
	@echo "make test ARGS='-n 0 -k nonce --pdb'                in one process, with a debugger"
	@echo "make test ARGS=tests/integrations                   with Jupyter, LangChain, pandas: make lint first"
	@echo
	@echo "CONTRIBUTING.rst explains where things live, and how to add some."

demo: $(VENV)/demo.stamp ## chat, stream and fail with an embedded site
	@$(BIN)/python examples/demo.py

test: $(VENV)/test.stamp ## run the tests
	@$(BIN)/python -m pytest $(WORKERS) $(if $(findstring integrations,$(ARGS)),,$(LEAN)) $(ARGS)

lint: $(VENV)/dev.stamp ## ruff, and phrases that do not read well
	@$(BIN)/ruff check setup.py docs $(SOURCES)
	@$(BIN)/ruff format --check -q setup.py docs $(SOURCES)
	@$(BIN)/python scripts/check_prose.py

types: $(VENV)/dev.stamp ## mypy --strict (with releases of mypy and stubs for Python 3.10 or newer)
	@$(BIN)/mypy $(SOURCES)

docs: $(VENV)/dev.stamp ## build docs/_build/html; warnings are errors
	@$(BIN)/sphinx-build -E -W -n -q -b html docs docs/_build/html
	@$(BIN)/python scripts/check_docs.py docs/_build/html
	@echo "docs: docs/_build/html/index.html"

cover: $(VENV)/dev.stamp ## branch coverage with the newest and oldest dependencies
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m coverage run -m pytest -q $(WORKERS) $(NEWEST)
	@$(BIN)/python scripts/matrix.py --coverage oldest
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report

bench: $(VENV)/bench.stamp ## run the benchmarks (half an hour; ARGS="--quick short-chat" for less)
	@$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)/fuzz.stamp ## fuzz RUNS=1000000 responses (twenty minutes; Linux, Python 3.11+)
	@mkdir -p .fuzz
	@$(BIN)/python tests/fuzz/fuzz.py -runs=$(RUNS) -max_len=512 -timeout=5 -rss_limit_mb=1024 \
		-artifact_prefix=.fuzz/ $(ARGS) .fuzz tests/fuzz/corpus

soak: $(VENV)/test.stamp ## run 100,000 chats, and 64 threads (twenty minutes; SOAK_SCALE=0.1 for less)
	@$(BIN)/python -m pytest -q -s -m soak tests/soak $(ARGS)

mutate: $(VENV)/mutate.stamp ## mutate the core and list the mutants that the tests miss (an hour or two)
	@rm -rf .mutate && mkdir .mutate && cp -R chatgpt4online tests pyproject.toml .mutate
	@cd .mutate && export PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONDONTWRITEBYTECODE=1 && \
		cosmic-ray baseline tests/mutation.toml && \
		cosmic-ray init tests/mutation.toml session && \
		cr-filter-operators session tests/mutation.toml && \
		cosmic-ray exec tests/mutation.toml session && \
		cr-report --surviving-only --show-diff session

live: $(VENV)/test.stamp ## run the live tests against SITE=https://...
	@test -n "$(SITE)" || { echo "make live needs SITE=https://..."; exit 2; }
	@CHATGPT4ONLINE_SITE="$(SITE)" $(BIN)/python -m pytest -m live tests/live $(ARGS)

matrix: ## run the tests on every installed Python, and with the oldest and other dependencies
	@$(PYTHON) scripts/matrix.py --jobs $(JOBS) $(LEGS)

build: $(VENV)/dev.stamp ## build and check the wheel and the sdist
	@rm -rf build dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@$(BIN)/python scripts/check_build.py dist
	@$(BIN)/twine check --strict dist/*

check: $(VENV)/dev.stamp ## lint, type checks, docs and coverage; must pass before a merge
	@$(MAKE) --no-print-directory types & types=$$!; trap "kill $$types" INT; \
		$(MAKE) --no-print-directory lint docs; others=$$?; wait $$types && exit $$others
	@$(MAKE) --no-print-directory cover

clean: ## remove everything that these targets made
	rm -rf $(VENV) .fuzz .matrix .mutate build dist docs/_build *.egg-info .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find docs $(SOURCES) -name __pycache__ -exec rm -rf {} +

$(VENV)/demo.stamp: EXTRAS :=
$(VENV)/test.stamp: EXTRAS := [test]
$(VENV)/dev.stamp: EXTRAS := [dev]
# Most modules of these packages are never imported; the others are compiled then.
$(VENV)/dev.stamp: COMPILE := --no-compile
$(VENV)/bench.stamp: EXTRAS := [bench]
$(VENV)/fuzz.stamp: EXTRAS := [fuzz]
$(VENV)/mutate.stamp: EXTRAS := [test,mutate]
$(VENV)/%.stamp: $(METADATA) | $(BIN)/python
	@echo "setting up $(VENV) for $*"
	@$(PIP) install $(COMPILE) --editable '.$(EXTRAS)'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@$(PIP) install --upgrade pip
