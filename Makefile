# Every target sets up what it needs: a virtual environment in .venv and, for `test`, Debian packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-lowest audit test-engines lint format docs sample calibrate calibrate-quick bench torture clean

demo: $(INSTALLED)
	$(BIN)/loyalty-exp demo --to loyalty-exp-demo

test: $(INSTALLED)
	sh .ci/debian-packages
	sh .ci/spark $(BIN)/python
	$(MAKE) lint calibrate-quick
	$(BIN)/pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED)  ## docs/cli.md and docs/first-campaign.md from the program itself
	$(BIN)/python docs/cli_reference.py
	$(BIN)/python docs/first_campaign.py

sample: $(INSTALLED)  ## the site kept under reports/sample
	$(BIN)/python reports/make_sample.py

calibrate: $(INSTALLED)  ## coverage and false alarms; writes docs/calibration.md
	$(BIN)/python benchmarks/calibrate.py

calibrate-quick: $(INSTALLED)  ## the same with few draws: fails where a promise is missed beyond chance
	$(BIN)/python benchmarks/calibrate.py --quick

torture: $(INSTALLED)  ## hundreds of kills at random instants; writes docs/torture.json
	$(BIN)/python benchmarks/torture.py --kills 600 --output docs/torture.json

bench: $(INSTALLED)  ## speed and memory against the bare scan and peers; writes docs/benchmarks.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/speed.py --millions 5 --rounds 1

test-lowest:  ## a part of the tests with the lowest versions that pyproject.toml allows
	.ci/lowest

audit: $(INSTALLED)  ## known vulnerabilities, where a service can be asked; files against their digests
	.ci/audit $(BIN)/python

test-engines: $(INSTALLED)  ## every engine at hand: PostgreSQL, Spark where there is Java, dialects
	sh .ci/debian-packages
	sh .ci/spark $(BIN)/python
	$(BIN)/pytest tests/engines --ignore tests/engines/test_warehouses.py
	$(PYTHON) -m venv .venv-warehouses  # the vendors' packages do not agree with our pins
	.venv-warehouses/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,warehouses]'
	.venv-warehouses/bin/pytest -W default tests/engines/test_warehouses.py

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev,postgresql]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) loyalty-exp-demo .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
