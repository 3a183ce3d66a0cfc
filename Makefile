# make demo: set up and solve the first problem.  make test: set up and run the tests.  make slow: the long tests.  make lint: style and types.
# make docs: the site, in build/site.  make notebooks: run the notebooks and keep their output.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python -m

.PHONY: demo test slow lint docs notebooks

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

docs: $(VENV)/installed
	$(RUN) pip install -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

# Without the times at which cells ran, which differ each time.
notebooks: $(VENV)/installed
	$(RUN) pip install -q -c constraints.txt -e '.[docs]'
	OMP_NUM_THREADS=1 $(RUN) jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.timeout=1200 notebooks/*.ipynb

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install -c constraints.txt -e '.[dev]'
	touch $@
