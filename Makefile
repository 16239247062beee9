# make demo   set up, then generate, sort, verify and explain a file much larger than its memory budget
# make test   set up, then run the test suite
# make stress set up, then hurt the engine on purpose for half an hour or more, and add up what was done and found
# make check  set up, then format, lint and types
# make bench  set up, then every benchmark with its peer (minutes; results on the terminal)
# make clean  remove what the others made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

DEMO := .demo
DEMO_RECORDS ?= 4000000
DEMO_MEMORY ?= 192MiB
STRESS := .stress

.PHONY: demo test stress check format bench warmup clean

demo: warmup
	mkdir -p $(DEMO)
	$(BIN)/spillway gen --kind text --records $(DEMO_RECORDS) --seed 7 $(DEMO)/input.txt
	$(BIN)/spillway explain --memory $(DEMO_MEMORY) $(DEMO)/input.txt
	$(BIN)/spillway sort --memory $(DEMO_MEMORY) --stats $(DEMO)/stats.json $(DEMO)/input.txt $(DEMO)/output.txt
	@echo "what happened (all of it in $(DEMO)/stats.json):"
	@grep -E '^  "(records|output_bytes|runs|passes|spilled_bytes|seconds|peak_resident_bytes|memory_bytes)"' $(DEMO)/stats.json
	$(BIN)/spillway verify $(DEMO)/input.txt $(DEMO)/output.txt

test: warmup
	$(BIN)/python -m pytest -n 2 --dist loadfile

stress: warmup
	mkdir -p $(STRESS) && rm -f $(STRESS)/report.jsonl
	SPILLWAY_STRESS=1 SPILLWAY_STRESS_REPORT=$(CURDIR)/$(STRESS)/report.jsonl \
		$(BIN)/python -m pytest -n 2 --dist load tests/test_reliability; \
		status=$$?; $(BIN)/python -m tests.test_reliability.figures $(STRESS)/report.jsonl && exit $$status

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: warmup
	$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.run_all

warmup: $(VENV)/.installed
	$(BIN)/spillway warmup

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) $(STRESS) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
