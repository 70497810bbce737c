# Each target makes its own environment first: .venv, and as root on Debian the system's programs that are missing.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 3

# The tests start thousands of processes: what one has compiled, the next does not compile again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-containers test quick coverage chaos nightly bench format docs constraints release wheel ready-to-demo ready-for-containers ready-to-test

help: ## tell what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 14

demo: ready-to-demo ## move a disk on this machine: grow it, lose the VM, shrink it while its job runs; count every row (ARGS="--keep")
	@$(BIN)/cpi demo $(ARGS)

demo-containers: ready-for-containers ## the same with Redis and PostgreSQL in containers; kill processes, the engine, a VM; grow and shrink a disk (ARGS="--picture FILE.svg")
	@$(BIN)/cpi demo --containers $(ARGS)

test: ready-to-test ## everything that must hold: format, lint, import rules, types, all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	@mkdir -p .runs && ls -t .runs/*.xml 2>/dev/null | tail -n +20 | xargs -r rm --
	$(BIN)/pytest -n $(WORKERS) --durations=40 --junitxml=.runs/$(shell date +%Y-%m-%dT%H.%M.%S).xml $(ARGS)

quick: ready-to-test ## lint, types, and what needs no root and no cloud
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow and not root" tests/unit tests/house tests/rpc tests/suite tests/cli $(ARGS)

coverage: ready-to-test ## which statements and branches tests reach, in the processes that they start too (ARGS="tests/unit"); .runs/coverage.json
	@mkdir -p .runs && rm -rf .runs/coverage
	MULTICPI_ROOT=$(CURDIR) $(BIN)/coverage run -m pytest -n 0 $(ARGS)

chaos: ready-to-test ## kill disk moves at random instants, TIMES of each kind (100); kill VMs, agents and the monitor for TIMES seconds; count the rows
	CHAOS=$(or $(TIMES),100) $(BIN)/pytest -n $(WORKERS) -rP tests/crash tests/resurrection -k "random_instants or whatever_dies" $(ARGS)

nightly: ready-to-test ## what chance finds, at length: the long forms of tests, and chaos with 500 TIMES
	NIGHTLY=1 $(BIN)/pytest -n $(WORKERS) -m nightly $(ARGS)
	@$(MAKE) chaos TIMES=$(or $(TIMES),500)

bench: ready-to-test ## figures, beside what else does it in the same run; those of moves are kept in docs/benchmarks
	@for bench in tests/bench/bench_*.py; do CPI_BENCH_KEEP=1 $(BIN)/python -m tests.bench.$$(basename $$bench .py) || exit 1; done

format: ready-to-test ## put the code in the house's form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: ready-to-test ## write again what is generated: docs/contract.md and the table of drivers in README.md
	$(BIN)/python -m tests.house.pages

release: ## build the BOSH release into dist/, with Python alone (ARGS="--clouds aws", "--final", "--help")
	@$(PYTHON) -m release.builder $(ARGS)

constraints: ready-to-test ## write constraints.txt again, from what is installed in .venv, with the digests (needs uv), and release/wheels
	$(BIN)/python -m tests.house.constraints
	$(BIN)/python -m tests.house.dependencies
	$(BIN)/python -m release.builder lock

wheel: ready-to-test ## build the wheel and the sdist into dist/, and what they run with as CycloneDX
	rm -f dist/multicpi-*.whl dist/multicpi-*.tar.gz dist/multicpi-*.cdx.json
	$(BIN)/python -m hatchling build --target wheel --target sdist --directory dist
	$(BIN)/python -m tests.house.dependencies sbom dist

ready-to-demo:
	@$(PYTHON) .ci/prepare.py demo

ready-for-containers:
	@$(PYTHON) .ci/prepare.py containers

ready-to-test:
	@$(PYTHON) .ci/prepare.py test
	@$(BIN)/python -m fixtures.clouds.openstack prepare
	@$(BIN)/python -m fixtures.installed
	@$(BIN)/python -m fixtures.release
	@$(BIN)/python -m fixtures.qemu
