# make demo: set up and solve the first problem.  make test: set up and run the tests.  make slow: the long tests.  make lint: style and types.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python -m

.PHONY: demo test slow lint

demo: $(VENV)/installed
	$(RUN) kanpde problem=poisson2d model.grid=20

# One thread per worker: two workers share a small machine without contending.
test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2

slow: $(VENV)/installed
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 -m slow

lint: $(VENV)/installed
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install -c constraints.txt -e '.[dev]'
	touch $@
