# `make demo` and `make test` need Python 3.11 or newer (with its venv module), make and git, and nothing else.
# Both use the virtual environment .venv, made on first use: about 6 GB, most of it torch.
#
#   make demo     show what vggprof answers for AlexNet and VGG
#   make test     run the tests against the installed package (ARGS='-k spec' chooses some)
#   make check    formatter, linter, types, and who may import whom
#   make docs     build the pages of docs/ into docs/_build
#   make reports  make the gallery in reports/ anew, the same bytes as long as nothing changes
#   make bench    measure the speed budget and print it as the table in the README
#   make golden   write the expected outputs of the tests anew; read the difference before committing it
#   make wheel    build dist/*.whl
#   make clean    remove everything that was made here
#
# PYTHON=python3.12 chooses the Python of a new .venv; TORCH=torch==2.13.0 installs and keeps that torch.

PYTHON ?= python3
TORCH ?= torch
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Folders too: a file that goes away changes its folder.
SOURCES := $(shell find vggprof specs ! -path '*/.*' ! -path '*__pycache__*')
PACKAGING := setup.cfg pyproject.toml README.md

.PHONY: demo test check docs bench golden reports wheel clean FORCE
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/vggprof compare alexnet vgg11
	$(BIN)/vggprof memory vgg16 --batch 32

# The tests are of the installed package: neither they nor what they start may import from this folder instead.
test golden bench: export PYTHONSAFEPATH := 1

test: $(VENV)/.extras
	$(BIN)/pytest $(ARGS)

golden: $(VENV)/.extras
	$(BIN)/pytest --update-golden $(ARGS)

check: $(VENV)/.extras
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# -E: what docstrings say is no file that Sphinx would look at for changes.
docs: $(VENV)/.documented
	$(BIN)/sphinx-build -q -E -W --keep-going docs docs/_build
	@echo docs/_build/index.html

bench: $(VENV)/.extras
	$(BIN)/python benchmarks/speed.py

reports: $(VENV)/.installed
	$(BIN)/python reports/make.py

wheel: $(VENV)/.extras
	rm -rf build dist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Each step is done again only when what it stands on has changed. torch is named in every one, so that nothing
# that comes with the package or its tests (torchvision wants one certain torch) can exchange it.

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit("vggprof needs Python 3.11 or newer; name one: PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip 'setuptools>=77'
	touch $@

# Holds what TORCH was, and changes only when it does.
$(VENV)/.torch: FORCE | $(VENV)/.made
	@test "$$(cat $@ 2>/dev/null)" = '$(TORCH)' || { $(PIP) install --upgrade '$(TORCH)' && echo '$(TORCH)' > $@; }

# build/ would carry removed files into the package.
$(VENV)/.installed: $(VENV)/.torch $(SOURCES) $(PACKAGING)
	rm -rf build
	$(PIP) install --no-build-isolation '$(TORCH)' .
	rm -rf build
	touch $@

$(VENV)/.extras: $(VENV)/.torch setup.cfg pyproject.toml | $(VENV)/.installed
	$(PIP) install --no-build-isolation '$(TORCH)' '.[test,check]'
	rm -rf build
	touch $@

$(VENV)/.documented: $(VENV)/.torch setup.cfg pyproject.toml | $(VENV)/.installed
	$(PIP) install --no-build-isolation '$(TORCH)' '.[docs]'
	rm -rf build
	touch $@
