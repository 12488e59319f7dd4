# Everything a developer does here has a target; `make` alone lists them.
#
# Four virtual environments live in the checkout, and make keeps them up to date:
#   .venv        the package as its users get it: the wheel, built and installed. Tests and demo run in it.
#   .venv-hosts  the wheel again, with the frameworks that the example hosts stand on.
#   .venv-bench  the wheel again, with what the benchmarks measure beside it.
#   .venv-dev    the package as a link to this checkout, with the tools that judge it.
# All are made anew when setup.cfg changes. Between two changes of it, .venv only gets a newer wheel when a source
# has changed, .venv-hosts and .venv-bench likewise, and .venv-dev is only linked again when a file was added or removed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
unexport PYTHONPATH

NEWER = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" $(NEWER) 2>/dev/null && echo "$$p" && break; done)
VENV ?= .venv
HOSTS ?= .venv-hosts
BENCH ?= .venv-bench
DEV ?= .venv-dev
TESTS ?= tests
ARGS ?=
SEED ?= 1
STORIES ?= 3000
KILLS ?= 500
SOAK_MINUTES ?= 60
RUN_MINUTES ?= 60
INPUTS ?= 1000000

ROOMS := domain ports delivery adapters testing bootstrap
SOURCES := $(shell find __init__.py __main__.py py.typed $(ROOMS) -name __pycache__ -prune -o -type f -print | LC_ALL=C sort)
# Checked beside the package: whatever Python there is outside of it.
SCRIPTS := $(shell find tests examples benchmarks docs -name _build -prune -o -name '*.py' -print 2>/dev/null | LC_ALL=C sort)

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- what a user or a newcomer wants

.PHONY: demo
demo: $(VENV)/.installed  ## deliver a dozen records to a sandbox that misbehaves, and show what became of them
	@$(VENV)/bin/evidence-courier demo

.PHONY: test
test: $(VENV)/.installed  ## run the tests on the installed wheel (one file: TESTS=tests/..., more options: ARGS="-k word")
	@$(VENV)/bin/pytest -c tests/pytest.ini -n 2 --dist worksteal $(ARGS) $(TESTS)

.PHONY: test-fresh
test-fresh: $(VENV)/.installed  ## run the properties of domain, delivery and simulation on new examples (again: FRESH=seed)
	@seed=$(or $(FRESH),$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')); \
	echo "the same again: make test-fresh FRESH=$$seed"; \
	$(VENV)/bin/pytest -c tests/pytest.ini -n 2 -m hypothesis --hypothesis-profile=here \
		--hypothesis-seed=$$seed $(ARGS) tests/domain tests/delivery tests/testing/simulation

.PHONY: test-hosts
test-hosts: $(HOSTS)/.installed  ## run the example hosts under their own servers, and see that what they complete arrives
	@$(HOSTS)/bin/pytest -c tests/pytest.ini --confcutdir=tests/hosts $(ARGS) tests/hosts

.PHONY: test-scale
test-scale: $(VENV)/.installed  ## run one host and two workers on a PostgreSQL, with kills, a crash and signals (a minute)
	@$(VENV)/bin/pytest -c tests/pytest.ini --confcutdir=tests/scale -n 2 $(ARGS) tests/scale

.PHONY: scale
scale: $(VENV)/.installed  ## the same with 16,000 transactions, 5,000 credentials and ticks of 20 seconds (half an hour)
	@SCALE_TRANSACTIONS=16000 SCALE_CREDENTIALS=5000 SCALE_STOPPED=35 SCALE_TICK=20 \
		$(VENV)/bin/pytest -c tests/pytest.ini --confcutdir=tests/scale $(ARGS) tests/scale

.PHONY: bench
bench: $(BENCH)/.installed  ## measure what an upload costs beside a bare client's, beside what is written by hand, and beside the least (aiohttp's server: ARGS="--server aiohttp"; another version: ARGS="--against /its/venv/bin/python")
	@$(BENCH)/bin/python benchmarks/throughput.py $(ARGS)

.PHONY: bench-host
bench-host: $(BENCH)/.installed  ## measure what a courier costs the process it is in: start, submit, blocks of the loop, memory, PDF, pace
	@$(BENCH)/bin/python benchmarks/host.py $(ARGS)

.PHONY: bench-rivals
bench-rivals: $(BENCH)/.installed  ## measure the same job with Celery, Procrastinate, Huey and DBOS, and couriers on PostgreSQL
	@$(BENCH)/bin/python benchmarks/rivals.py $(ARGS)

MILLION := build/million

.PHONY: bench-million
bench-million: $(BENCH)/.installed  ## measure reading and working on a million uploads, a backlog, several couriers (half an hour, 6 GB)
	@rm -rf $(MILLION) && mkdir -p $(MILLION)
	@$(BENCH)/bin/python benchmarks/grow.py $(MILLION)/line.db
	@$(BENCH)/bin/python benchmarks/million.py reads $(MILLION)/line.db
	@$(BENCH)/bin/python benchmarks/million.py inspect $(MILLION)/line.db
	@$(BENCH)/bin/python benchmarks/grow.py $(MILLION)/settled.db --in-line 0
	@SCRATCH=$(MILLION) LARGE=$(MILLION)/settled.db $(BENCH)/bin/python benchmarks/crowd.py $(ARGS)
	@rm -rf $(MILLION)

.PHONY: size
size:  ## print how large each room of the house is, and what is larger than it may be
	@$(PYTHON) benchmarks/size.py

# ---- what a change must pass

.PHONY: lint
lint: $(DEV)/.linked  ## formatting, lint, types, spelling and the import contracts
	@failed=; \
	for check in "ruff format --check ." "ruff check ." "mypy -p evidence_courier" "mypy $(SCRIPTS)" pyright \
			"lint-imports --no-logo --no-cache" codespell; do \
		echo "== $${check%%.py*}"; $(DEV)/bin/$$check || failed="$$failed $${check%% *}"; \
	done; \
	[ -z "$$failed" ] || { echo "not clean:$$failed" >&2; exit 1; }

.PHONY: format
format: $(DEV)/.linked  ## rewrite the code as `make lint` wants it
	$(DEV)/bin/ruff format .
	$(DEV)/bin/ruff check --fix .

.PHONY: docs
docs: $(DEV)/.linked  ## build the documentation; a warning is an error
	$(DEV)/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "built docs/_build/html/index.html"

.PHONY: test-all
test-all:  ## run the tests on each Python, 3.11 to 3.14, that this machine has
	@for version in 3.11 3.12 3.13 3.14; do \
		found=; \
		for python in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python; do \
			says=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
			if [ "$$says" = $$version ]; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then skipped="$$skipped $$version"; echo "Python $$version: not found"; continue; fi; \
		echo "Python $$version: $$found"; \
		if $(MAKE) --no-print-directory test PYTHON="$$found" VENV=.venv-$$version; \
		then passed="$$passed $$version"; else failed="$$failed $$version"; fi; \
	done; \
	echo "passed:$${passed:- none}; failed:$${failed:- none}; not found:$${skipped:- none}"; \
	[ -n "$$passed" ] && [ -z "$$failed" ]

.PHONY: mutation
mutation: $(DEV)/.linked  ## make small mistakes in domain/ and see that a test notices each (minutes; some: ARGS="backoff")
	@$(DEV)/bin/python tests/mutation/mutate.py $(ARGS)

.PHONY: kits
kits: $(VENV)/.installed  ## run the whole contract kits against each adapter that breaks one rule (half an hour)
	@WHOLE_KITS=1 $(VENV)/bin/pytest -c tests/pytest.ini -n 2 $(ARGS) tests/testing/contracts -k test_it_is_found_at_its_rule

.PHONY: chaos
chaos: $(VENV)/.installed  ## thousands of seeded stories in virtual time, then 500 real processes killed (an hour; fewer: STORIES=100 KILLS=20)
	@$(VENV)/bin/python tests/chaos/stories.py --stories $(STORIES) --seed $(SEED)
	@$(VENV)/bin/python tests/chaos/paces.py --worlds $(STORIES) --seed $(SEED)
	@$(VENV)/bin/python tests/crash/campaign.py --kills $(KILLS) --seed $(SEED)

.PHONY: soak
soak: $(VENV)/.installed  ## an hour of mixed load with faults and restarts: nothing may grow (shorter: SOAK_MINUTES=12)
	@$(VENV)/bin/python tests/chaos/soak.py --minutes $(SOAK_MINUTES) --seed $(SEED) $(ARGS)

.PHONY: running
running: $(VENV)/.installed  ## an hour of `evidence-courier run` with kills, faults, broken files and hostile sinks (shorter: RUN_MINUTES=10)
	@$(VENV)/bin/python tests/chaos/running.py --minutes $(RUN_MINUTES) --seed $(SEED) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.installed  ## a million inputs for the parsers (minutes; fewer: INPUTS=10000)
	@$(VENV)/bin/python tests/fuzz/campaign.py --inputs $(INPUTS) --seed $(SEED)

.PHONY: dist
dist: $(DEV)/.linked  ## build the source distribution and, from it, the wheel
	@rm -rf dist
	$(DEV)/bin/python -m build

.PHONY: clean
clean:  ## remove everything that make has made
	rm -rf .venv .venv-hosts .venv-bench .venv-dev .venv-3.* build dist *.egg-info docs/_build .hypothesis tests/.hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .*_cache tests/.*_cache

# ---- how the environments come about

# Rewritten only when a file was added or removed: what depends on it sees names come and go, not edits.
build/sources: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(SOURCES) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.PHONY: FORCE
FORCE:

# A system Python without ensurepip (Debian's, for one) has its own pip fill the new environment.
define new-environment
@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python" >&2; exit 1; }
@echo "creating $(1) with $$($(PYTHON) --version)"
@rm -rf $(1)
@$(PYTHON) -m venv $(1) >/dev/null || { \
	rm -rf $(1) && $(PYTHON) -m venv --without-pip $(1) && $(PYTHON) -m pip -qq --python $(1)/bin/python install pip; }
endef

$(VENV)/.created: setup.cfg requirements/test.txt
	$(call new-environment,$(VENV))
	@touch $@

# build/lib is setuptools' scratch: what it holds from a former build would end up in the wheel.
build/wheel/.built: setup.cfg pyproject.toml $(wildcard README.md LICENSE) build/sources $(SOURCES) | $(VENV)/.created
	@echo "building the wheel"
	@rm -rf build/lib build/bdist.* build/wheel
	@$(VENV)/bin/python -m pip -qq wheel --no-deps --wheel-dir build/wheel .
	@touch $@

$(VENV)/.requirements: $(VENV)/.created | build/wheel/.built
	@echo "installing what the tests need into $(VENV)"
	@$(VENV)/bin/python -m pip -qq install "$$(echo build/wheel/*.whl)[all,fonts,testing]" -r requirements/test.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements build/wheel/.built
	@$(VENV)/bin/python -m pip -qq install --no-deps --force-reinstall build/wheel/*.whl
	@touch $@

$(HOSTS)/.created: setup.cfg requirements/hosts.txt
	$(call new-environment,$(HOSTS))
	@touch $@

$(HOSTS)/.requirements: $(HOSTS)/.created | build/wheel/.built
	@echo "installing the frameworks of the example hosts into $(HOSTS)"
	@$(HOSTS)/bin/python -m pip -qq install "$$(echo build/wheel/*.whl)[cli,sandbox,sync]" \
		-r requirements/hosts.txt
	@touch $@

$(HOSTS)/.installed: $(HOSTS)/.requirements build/wheel/.built
	@$(HOSTS)/bin/python -m pip -qq install --no-deps --force-reinstall build/wheel/*.whl
	@touch $@

$(BENCH)/.created: setup.cfg benchmarks/requirements.txt
	$(call new-environment,$(BENCH))
	@touch $@

$(BENCH)/.requirements: $(BENCH)/.created | build/wheel/.built
	@echo "installing what the benchmarks measure into $(BENCH)"
	@$(BENCH)/bin/python -m pip -qq install "$$(echo build/wheel/*.whl)[all,testing]" \
		-r benchmarks/requirements.txt
	@touch $@

$(BENCH)/.installed: $(BENCH)/.requirements build/wheel/.built
	@$(BENCH)/bin/python -m pip -qq install --no-deps --force-reinstall build/wheel/*.whl
	@touch $@

$(DEV)/.created: setup.cfg $(wildcard requirements/*.txt)
	$(call new-environment,$(DEV))
	@touch $@

# Strict mode lays out a tree of links that static tools can follow; the links are why an added file wants a new one.
$(DEV)/.linked: $(DEV)/.created build/sources
	@echo "linking this checkout into $(DEV), with the developer's tools"
	@$(DEV)/bin/python -m pip -qq install --config-settings editable_mode=strict -e '.[all,fonts,testing]' \
		-r requirements/dev.txt
	@touch $@
