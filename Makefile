# Needs Python 3.11+, make and a network. `make` alone lists what there is.
#
#   VENV=folder     use that virtual environment as it is, and install nothing into it
#   NB="name ..."   with `make notebooks`: only these
#   REPO=owner/name with `make address`: the new address
#   PORT=8000       with `make serve`
#   LOCKED=1        install what requirements.lock names, checked against its hashes (Linux, Python 3.11)
#   STRICT=1        with `make book`: page assets from npm or an error, never stand-ins
#   ARGS="name ..." with `make mutants`: only these modules

PYTHON ?= python3
PORT ?= 8000
NB ?=
REPO ?=
STRICT ?=
LOCKED ?=
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

ifdef VENV
  READY := given-venv
else
  VENV := .venv
  READY := .venv/.stamp
endif

BIN := $(abspath $(VENV))/bin
PY := $(BIN)/python
OLDEST := .venv-oldest/bin/python
HTML := _build/html
PIP := -m pip install -qq --disable-pip-version-check
WANTED := $(if $(LOCKED),--require-hashes --only-binary :all: -r requirements.lock,-r requirements.txt)
LIBRARY_TESTS := -k "not notebook and not step_times"
NBVAL := $(PY) -m pytest --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg -q -n 2 --dist loadscope -p no:cacheprovider
# Quick notebooks with pictures, a widget and many verdicts.
OTHER := book/linear_boundary.ipynb book/direction.ipynb
# The library is found in a given environment too, by the kernels of notebooks as well.
export PYTHONPATH := $(CURDIR)/lib$(if $(PYTHONPATH),:$(PYTHONPATH))
# Notebooks name their kernel python3; it must be this environment's.
export PATH := $(BIN):$(PATH)

say = @printf '\n== %s\n' "$(1)"

.PHONY: help book serve test notebooks figures address clean benchmarks mutants assets build given-venv
.PHONY: lock test-oldest test-style test-library test-pairs test-notebooks test-processor test-browser test-gpu

# Progress bars would stand in the notebooks' outputs.
notebooks test-notebooks test-processor: export TQDM_DISABLE := 1
# These runs are small: on two cores, a second thread costs more than it brings.
notebooks test-library test-notebooks test-processor: export OMP_NUM_THREADS := 1

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

book: build ## build the book, and say where to open it
	@printf '\nThe book is in %s/%s/index.html\nOpen that file, or run `make serve` and open http://127.0.0.1:%s/\n' "$(CURDIR)" "$(HTML)" "$(PORT)"

serve: ## serve the built book at http://127.0.0.1:$PORT/
	@test -f $(HTML)/index.html || { echo 'There is no book yet: run `make book` first.'; exit 1; }
	@echo "http://127.0.0.1:$(PORT)/  (Ctrl-C ends it)"
	@$(PYTHON) -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

test: test-style test-library test-pairs test-notebooks build test-browser ## run everything that CI runs
	@printf '\nAll passed.\n'

notebooks: $(READY) ## run the texts in book/text into notebooks, all or NB="name ..."
	$(call say,Notebooks)
	@$(PY) book/tools/notebooks.py $(NB)

figures: $(READY) ## remake the stored results (about half an hour)
	$(call say,Stored results)
	@OMP_NUM_THREADS=1 $(PY) book/results/xor_sweep.py
	@OMP_NUM_THREADS=1 $(PY) book/results/relu_study.py
	@OMP_NUM_THREADS=1 $(PY) book/results/rank_figures.py

address: ## write the book's address everywhere, or change it with REPO=owner/name
	@$(PYTHON) book/tools/address.py $(if $(REPO),--set $(REPO))

benchmarks: $(READY) ## time the library against what one would write instead
	$(call say,Benchmarks)
	@for file in benchmarks/[a-z]*.py; do echo "-- $$file"; $(PY) $$file || exit 1; done

mutants: $(READY) ## change the library one operator at a time: do the tests see it? (hours; goes on where it stopped)
	$(call say,Mutants)
	@$(PY) -c 'import cosmic_ray' 2>/dev/null || { echo "This needs cosmic-ray: $(PY) -m pip install -e '.[mutants]'"; exit 1; }
	@OMP_NUM_THREADS=1 $(PY) tests/mutants/run.py $(ARGS)

test-gpu: $(READY) ## run the library on a GPU against itself on the processor (some minutes)
	$(call say,GPU)
	@$(PY) -m pytest tests/gpu -q

lock: $(READY) ## write requirements.lock anew from requirements.txt (needs uv)
	$(call say,Lock)
	@$(PY) book/tools/lock.py

# One process: what is asked is whether it runs, and the machine may have other work.
test-oldest: ## run the library's tests on the oldest versions that pyproject.toml allows (a quarter of an hour)
	$(call say,Oldest versions)
	@rm -rf .venv-oldest
	@$(PYTHON) -m venv .venv-oldest
	@wanted=$$($(PYTHON) book/tools/oldest.py) && echo $$wanted && $(OLDEST) $(PIP) $$wanted pytest hypothesis
	@$(OLDEST) -m pip check --disable-pip-version-check
	@OMP_NUM_THREADS=1 $(OLDEST) -m pytest tests/lib -q -p no:cacheprovider $(LIBRARY_TESTS)

clean: ## remove what make made: .venv, .venv-oldest, _build, _vendor
	rm -rf .venv .venv-oldest _build _vendor

# Stages --------------------------------------------------------------------------------------------------------

# Make runs one stage after the other, whatever -j says: they share two cores, and the headings should mean something.
.NOTPARALLEL:

.venv/.stamp: requirements.txt requirements.lock pyproject.toml
	$(call say,Setting up .venv; the first time takes some minutes)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP) $(WANTED)
	@.venv/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

given-venv:
	@test -x $(PY) || { echo "VENV=$(VENV) is no virtual environment"; exit 1; }

assets: $(READY)
	$(call say,Page assets)
	@$(PY) book/tools/vendor.py $(if $(STRICT),--strict)

# Warnings are errors. The doctrees go first: what an earlier build read would warn no second time.
build: assets
	$(call say,Book)
	@rm -rf _build/.doctrees
	@log=$$($(BIN)/jupyter-book build . -W -n --keep-going --quiet 2>&1) || { echo "$$log"; exit 1; }
	@echo '  no warnings'

test-style: $(READY)
	$(call say,Style)
	@$(BIN)/ruff check --output-format concise .
	@$(BIN)/ruff format --check --quiet . || { echo 'Some files are not as `ruff format` writes them.'; exit 1; }
	@$(BIN)/mypy

test-library: $(READY)
	$(call say,Library)
	@$(PY) -m pytest tests/lib tests/gpu -q -n 2 $(LIBRARY_TESTS)

test-pairs: $(READY)
	$(call say,Texts agree with notebooks and addresses with _config.yml)
	@$(PY) -m pytest tests/book -q

test-notebooks: $(READY)
	$(call say,Notebooks give the outputs they show)
	@$(PY) -m pytest tests/notebooks -q
	@$(NBVAL) book

# The settings choose plainer arithmetic in torch, MKL and OpenBLAS, which rounds as an older processor does.
test-processor: $(READY) ## run some notebooks as another processor would
	$(call say,Notebooks give the outputs they show on another processor)
	@ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Haswell $(NBVAL) $(OTHER)

test-browser: $(READY)
	$(call say,Pages in a browser)
	@$(PY) -m pytest tests/browser -q -n 2 --dist loadgroup
