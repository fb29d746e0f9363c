# Thin front of bootstrap.py, which needs the standard library alone and also runs without make:
# `python bootstrap.py run`. Further words go in ARGS: make test ARGS="-k tiling".
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c "" >/dev/null 2>&1 && { echo $$p; break; }; done)
ARGS ?=
COMMANDS := setup run test lint type fmt samples bench bench-models

.PHONY: help $(COMMANDS)

help:
	@echo "make setup         make or complete the environment in .venv"
	@echo "make run           open the app in a browser"
	@echo "make test          lint, types and every test, a real browser included"
	@echo "make lint          ruff check and ruff format --check"
	@echo "make fmt           ruff format"
	@echo "make type          mypy"
	@echo "make samples       write the sample scenes anew"
	@echo "make bench         measure speed and write docs/benchmarks.md"
	@echo "make bench-models  run the studies that are out of date, write docs/studies.md"

$(COMMANDS):
	$(if $(PYTHON),,$(error Python 3.11 was not found. Install it (python.org, or your package manager) and try again))
	@$(PYTHON) bootstrap.py $@ $(ARGS)
