# make demo [ONCE=1] [STACK=real]   the demo: six tasks on sample files
# make test [ARGS=...]              all tests, on real servers
# make quick                       the tests that need no servers, no root and no network
# make coverage [ARGS=...]         line coverage, with subprocesses: build/coverage
# make mutants [ONLY="NAME ..."]   mutation tests: tests/mutants.toml
# make attacks                     attacks by untrusted clients: docs/security.md
# make faults                      failures of servers, connections and processes
# make site                        the documentation site, built strictly: build/site
# make uppy                         docs/how-to/uppy.md in Chromium, with the published Uppy 5 and 6 (needs npm)
# make works-with                  celery-batches and pytest-celery as published: docs/how-to/works-with.md
# make bench [ONLY="NAME ..."]     benchmarks against similar libraries: build/bench.json
# make conformance [CELERY=5.4.0] [RUNS=...] [MODULES=...] [SELECTION=ci]   Celery's own integration suite: docs/conformance.md
# make versions [ONLY="NAME ..."]  combinations of versions: tests/versions.toml; writes docs/reference/versions.md
#
# Each creates .venv first. Needs Python >= 3.11 and make, and Go once, to build the object store.

PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
BIN := .venv/bin
SERVICES := $(BIN)/python scripts/services
UV := build/uv/bin/uv
# Hash-checked: only pinned packages are installed; --no-deps, because the lists are complete.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-input --no-compile --no-deps
PROGRAMS := scripts/services

.DELETE_ON_ERROR:
.PHONY: demo test quick coverage mutants attacks faults conformance versions uppy works-with lint format typecheck bench docs site constraints clean

ifeq ($(STACK),real)
demo: .venv/demo.stamp
	$(SERVICES) run --export-settings -- env -u RS_TEST_S3_SECRET_KEY $(BIN)/resultstore demo --stack real $(if $(ONCE),--once)
else
demo: .venv/demo.stamp
	$(BIN)/resultstore demo $(if $(ONCE),--once)
endif

test: .venv/dev.stamp
	$(SERVICES) programs
	$(SERVICES) run -- $(BIN)/python -m pytest $(ARGS)

quick: .venv/dev.stamp
	$(BIN)/python -m pytest -m "not servers" tests/model tests/telemetry tests/blobs tests/index tests/store tests/capture tests/ops \
		tests/contract tests/backends/celery/codec tests/backends/celery/capture tests/test_*.py $(ARGS)

coverage: .venv/dev.stamp
	$(SERVICES) programs
	$(BIN)/coverage erase
	$(SERVICES) run -- $(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

# Each fault is put alone into a copy of the source; the tests that are listed with it must fail.
mutants: .venv/dev.stamp
	$(SERVICES) run -- $(BIN)/python scripts/mutants.py $(ONLY)

# Attacks by untrusted clients on a real gateway and worker; the outcomes are in build/attacks.json.
attacks: .venv/dev.stamp
	$(SERVICES) run -- $(BIN)/python -m pytest tests/security $(ARGS)

# Unreachable servers, lost responses, cut connections, killed processes.
faults: .venv/dev.stamp
	$(SERVICES) run -- $(BIN)/python -m pytest tests/faults $(ARGS)

conformance: .venv/dev.stamp
	$(BIN)/python scripts/overlay.py $(CELERY:%=celery-%)
	$(SERVICES) run -- $(BIN)/python scripts/overlay.py $(CELERY:%=celery-%) -- tests/conformance/conformance.py \
		$(if $(RUNS),--runs $(RUNS)) $(if $(MODULES),--modules $(MODULES)) $(if $(SELECTION),--selection $(SELECTION)) \
		$(if $(RECORD),--record)

# Each combination of tests/versions.toml with its own servers and time limit: an hour in all.
versions: .venv/dev.stamp
	$(BIN)/python scripts/versions.py $(ONLY)

# The published Uppy 5 and 6 in Chromium, against a real gateway: needs npm and the network, and is not part of `test`.
uppy: .venv/dev.stamp
	$(SERVICES) run -- $(BIN)/python -m pytest tests/uploads/uppy/published.py $(ARGS)

# The published celery-batches and pytest-celery, in an environment with Celery 5.6, and the tests of the other libraries.
works-with: .venv/dev.stamp
	$(BIN)/python scripts/overlay.py works-with
	$(SERVICES) run -- $(BIN)/python scripts/overlay.py works-with -- -m pytest -p no:celery \
		-o "python_files=test_*.py published_*.py" tests/works_with $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check . $(PROGRAMS)
	$(BIN)/ruff format --check . $(PROGRAMS)
	$(BIN)/python scripts/check_words.py

format: .venv/dev.stamp
	$(BIN)/ruff check --fix . $(PROGRAMS)
	$(BIN)/ruff format . $(PROGRAMS)

typecheck: .venv/dev.stamp
	$(BIN)/mypy
	MYPYPATH=scripts $(BIN)/mypy $(PROGRAMS) scripts/*.py

bench: .venv/dev.stamp
	RS_MAX_MESSAGE_BYTES=134217728 $(SERVICES) run -- $(BIN)/python -m benchmarks $(ONLY)

docs: .venv/dev.stamp
	$(BIN)/python scripts/reference.py

site: .venv/dev.stamp
	$(BIN)/python scripts/build_site.py

# The settings of docker-compose.yml, with random passwords; never overwritten.
.env:
	@umask 077; $(PYTHON) -c 'import re, secrets; \
	print(re.sub(r"(?m)^\w+=$$", lambda m: m[0] + secrets.token_hex(20), open(".env.example").read()), end="")' > $@

# The lists of pinned packages: run it after a change of pyproject.toml. The third one, without hashes and for every
# extra, is for `pip install -c` in projects that use resultstore; it leaves out what such a project chooses itself.
# The other lists in constraints/ are of other versions.
LEFT_TO_PROJECTS := $(shell grep -v '^\#' constraints/left-to-projects.list)
constraints: $(UV) .venv/bin/python
	$(UV) pip compile --quiet pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --output-file constraints.txt
	$(UV) pip compile --quiet pyproject.toml --extra demo --group build --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --constraint constraints.txt --output-file constraints-demo.txt
	$(UV) pip compile --quiet pyproject.toml --all-extras --universal --python-version 3.11 \
		--no-header --no-annotate --constraint constraints.txt --output-file constraints-pip.txt \
		$(addprefix --no-emit-package ,$(LEFT_TO_PROJECTS))
	$(BIN)/python scripts/variants.py

clean:
	-$(PYTHON) scripts/services stop
	rm -rf build dist .services .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python >= 3.11 with venv found: install one (Debian:" \
		"apt-get install python3-venv), or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/demo.stamp: constraints-demo.txt pyproject.toml | .venv/bin/python
	$(INSTALL) --require-hashes --requirement constraints-demo.txt
	$(INSTALL) --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: constraints.txt pyproject.toml | .venv/bin/python
	$(INSTALL) --require-hashes --requirement constraints.txt
	$(INSTALL) --no-build-isolation --editable .
	@touch $@ .venv/demo.stamp

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check uv
