# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
FOLDERS := modeling_pico trainers callbacks recipes
WORKERS := $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")

.PHONY: demo demo-baseline test test-lowest test-spawn docs help format lint types unit clean

demo: .venv/installed
	$(BIN)/python -m pico_maml.recipes.demo $(ARGS)

# The demo without episodes, beside whose kept figures the demo shows its own: again after its recipe has changed.
demo-baseline: .venv/installed
	$(BIN)/python docs/write_baseline.py

# With ARGS, such as ARGS="-k sampling" or ARGS="-m slow -n 2", the tests that they choose alone.
test: $(if $(ARGS),unit,lint types docs unit)

lint: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# The package is this folder, whatever its name; the link gives mypy the name that importers use.
types: .venv/installed-dev
	mkdir -p .venv/typed && ln -sfn ../.. .venv/typed/pico_maml
	MYPYPATH=.venv/typed:launcher $(BIN)/mypy --config-file pyproject.toml -m pico_maml_launcher $(FOLDERS:%=-p pico_maml.%)

# Warnings are errors; the site is docs/_build/html/index.html.
docs: .venv/installed-dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html

# What `pico-maml COMMAND --help` prints, and docs/arguments: again after an argument, its default or its help has changed.
help: .venv/installed
	$(BIN)/python docs/write_help.py

# One test process more than cores, because some tests wait; one thread each. Few tests that are chosen start sooner
# in one process. Compiled files are kept, whatever the environment says: many processes import the package.
unit: .venv/installed-dev
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 \
		$(BIN)/pytest tests --numprocesses $(if $(ARGS),0,$(WORKERS)) --dist worksteal $(ARGS)

# The lower bounds of setup.cfg, exactly, under the tests without their slow part.
test-lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest tests --numprocesses $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

# Streams and data workers, started as on macOS and Windows and by Python 3.14.
test-spawn: .venv/installed-dev
	START_METHOD=spawn OMP_NUM_THREADS=1 $(BIN)/pytest tests/trainers/corpus tests/trainers/test_resume.py \
		tests/trainers/runs/safety -k "stream or worker or mapped" $(ARGS)

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv-lowest/installed: setup.cfg
	$(PYTHON) -m venv .venv-lowest
	sed -n '/^install_requires/,/^$$/s/>=/==/p' setup.cfg > .venv-lowest/constraints.txt
	.venv-lowest/bin/pip install --quiet --constraint .venv-lowest/constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf .venv .venv-lowest build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
