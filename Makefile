# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT := demo-output
SMALL := --set pool.network.width=32 --set match.steps=400

# Options of a single command; environment variables of the same name are ignored.
OPTIONS := NAME DATA LABEL SIZE SCALE RECIPE SETTINGS BUNDLE IPC NETWORKS ON SEED SEEDS TAG DEVICE WORK MINUTES SAVE CASE KIND
$(foreach word,$(OPTIONS),$(if $(filter environment,$(origin $(word))),$(eval $(word) :=)))

# The demo and the tests use tiny images, for which thread synchronisation costs more than the
# computation, especially on a busy machine.
demo test test-fast test-random coverage check: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-fast test-random coverage check types docs verify-bundles reports bench proxy reproduce reproduce-figure4 reproduce-table2 reproduce-table3 schema format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## create .venv with hmnpack (editable) and all development tools

$(STAMP): pyproject.toml
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(STAMP) ## compress, inspect, expand and evaluate real handwritten digits (no download)
	@mkdir -p $(OUT)
	$(BIN)/hmnpack compress digits --ipc 1 -o $(OUT)/digits.hmn --force $(SMALL)
	$(BIN)/hmnpack inspect $(OUT)/digits.hmn
	$(BIN)/hmnpack expand $(OUT)/digits.hmn --out $(OUT)/images --force
	$(BIN)/hmnpack evaluate $(OUT)/digits.hmn --data digits --width 32 --repeats 5 \
		--save $(OUT)/result.json --force
	@echo "contact sheet:"
	@$(BIN)/hmnpack expand $(OUT)/digits.hmn --out $(OUT)/digits.png --format sheet --force

# Distributes test files over one process per core, at most eight.
PYTEST := $(BIN)/pytest -q -n auto --maxprocesses 8 --dist loadfile

test: $(STAMP) ## run all tests
	$(PYTEST)

test-fast: $(STAMP) ## run the tests that are not marked slow (under a minute)
	$(PYTEST) -m 'not slow'

test-random: $(STAMP) ## run all tests in random order (SEED=1234 repeats an order)
	$(PYTEST) -p randomly --randomly-seed '$(or $(SEED),$(shell date +%s))'

coverage: $(STAMP) ## run all tests and print the code coverage
	$(PYTEST) --cov --cov-report=term:skip-covered

check: $(STAMP) verify-bundles types docs ## check lint, formatting, types, docs, packaging, JSON schemas and shipped bundles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -q tests/packaging

types: $(STAMP) ## check types: mypy on everything, pyright on the public names
	$(BIN)/mypy
	$(BIN)/python tests/typing/complete.py

docs: $(STAMP) ## build the documentation site in docs/site; broken links are errors
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . docs/site

# The shipped bundles, or those that match NAME='cifar10-*'.
BUNDLES = $(wildcard examples/bundles/$(or $(NAME),*).hmn)
REPORTS = $(BUNDLES:.hmn=.html)

verify-bundles: $(STAMP) ## verify the shipped bundles; with NAME='cifar10-jpeg-*' DATA=path, reproduce a score (NETWORKS, DEVICE)
	$(BIN)/hmnpack verify $(BUNDLES) $(if $(DATA),--data '$(DATA)') \
		$(if $(NETWORKS),--networks '$(NETWORKS)') $(if $(DEVICE),--device '$(DEVICE)')

# Each page includes the result of the same name, if there is one.
reports: $(REPORTS) ## write the report page beside each shipped bundle (NAME='cifar10-*')
.PHONY: $(REPORTS)
$(REPORTS): %.html: %.hmn $(STAMP)
	$(BIN)/hmnpack report $< -o $@ --force \
		$(addprefix --result ,$(wildcard examples/reproduce/results/$(notdir $*).json))

bench: $(STAMP) ## list the benchmarks; NAME=startup runs one (DATA=path, SAVE=file.json; of fuzz: MINUTES, SEED, CASE, KIND)
ifdef NAME
	@$(BIN)/python tests/benchmarks/$(NAME).py $(if $(DATA),--data '$(DATA)') $(if $(SAVE),--save '$(SAVE)') \
		$(if $(MINUTES),--minutes '$(MINUTES)') $(if $(SEED),--seed '$(SEED)') \
		$(if $(CASE),--case '$(CASE)') $(if $(KIND),--kind '$(KIND)')
else
	@$(BIN)/python tests/benchmarks/harness.py
endif

proxy: $(STAMP) ## measure an accuracy proxy: NAME=p1 DATA=path (RECIPE, SETTINGS='a.b=1 c=2', MINUTES, TAG)
	@$(BIN)/python examples/reproduce/proxy.py --name '$(NAME)' $(if $(DATA),--data '$(DATA)') \
		$(if $(RECIPE),--recipe '$(RECIPE)') $(foreach setting,$(SETTINGS),--set '$(setting)') \
		$(if $(MINUTES),--stop-after-minutes '$(MINUTES)') $(if $(TAG),--tag '$(TAG)')

reproduce: $(STAMP) ## list the paper's tables; reproduce-table6 DATA=path runs one (SCALE, RECIPE, IPC, SEEDS, ON, ...)
	@$(BIN)/python examples/reproduce/paper.py

# Each variable is passed as the option of that name; DATA, LABEL and WORK may contain spaces.
REPRODUCED := $(addprefix reproduce-,table2-hmn table4 table5 table6 figure5 figure6 figure7)
.PHONY: $(REPRODUCED)
$(REPRODUCED): reproduce-%: $(STAMP)
	@$(BIN)/python examples/reproduce/paper.py $* $(if $(DATA),--data '$(DATA)') \
		$(if $(LABEL),--label '$(LABEL)') $(if $(SIZE),--size '$(SIZE)') \
		$(if $(SCALE),--scale '$(SCALE)') $(if $(RECIPE),--recipe '$(RECIPE)') \
		$(foreach setting,$(SETTINGS),--set '$(setting)') $(if $(BUNDLE),--bundle $(BUNDLE)) \
		$(if $(IPC),--ipc $(IPC)) $(if $(NETWORKS),--networks $(NETWORKS)) $(if $(ON),--on '$(ON)') \
		$(if $(SEED),--seed '$(SEED)') $(if $(SEEDS),--seeds $(SEEDS)) $(if $(TAG),--tag '$(TAG)') \
		$(if $(DEVICE),--device '$(DEVICE)') $(if $(WORK),--work '$(WORK)')

reproduce-figure4: $(STAMP) ## continual learning, figure 4: DATA=path (SCALE, IPC, SEEDS, RECIPE, SETTINGS, ...)
	@$(BIN)/python examples/reproduce/figure4.py $(if $(DATA),--data '$(DATA)') \
		$(if $(LABEL),--label '$(LABEL)') $(if $(SIZE),--size '$(SIZE)') \
		$(if $(SCALE),--scale '$(SCALE)') $(if $(RECIPE),--recipe '$(RECIPE)') \
		$(foreach setting,$(SETTINGS),--set '$(setting)') $(if $(IPC),--ipc $(IPC)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(TAG),--tag '$(TAG)') \
		$(if $(DEVICE),--device '$(DEVICE)') $(if $(WORK),--work '$(WORK)')

reproduce-table2: $(STAMP) ## methods at equal CPU minutes, table 2: DATA=path (MINUTES, IPC, ONLY, SETTINGS, ...)
	@$(BIN)/python examples/reproduce/methods.py $(if $(MINUTES),--minutes '$(MINUTES)') \
		$(COMPARED)

reproduce-table3: $(STAMP) ## containers under one objective, table 3: DATA=path (SCALE, IPC, ONLY, SETTINGS, ...)
	@$(BIN)/python examples/reproduce/containers.py $(if $(SCALE),--scale '$(SCALE)') \
		$(COMPARED)

COMPARED = $(if $(DATA),--data '$(DATA)') $(if $(LABEL),--label '$(LABEL)') \
	$(if $(SIZE),--size '$(SIZE)') $(if $(ONLY),--only $(ONLY)) $(if $(IPC),--ipc $(IPC)) \
	$(foreach setting,$(SETTINGS),--set '$(setting)') $(if $(SEED),--seed '$(SEED)') \
	$(if $(REPEATS),--repeats '$(REPEATS)') $(if $(TAG),--tag '$(TAG)') \
	$(if $(DEVICE),--device '$(DEVICE)') $(if $(WORK),--work '$(WORK)')

schema: $(STAMP) ## regenerate schema/*.json from the models
	$(BIN)/python -m hmnpack.schema.export manifest > schema/manifest-1.json.new
	$(BIN)/python -m hmnpack.schema.export result > schema/result-1.json.new
	$(BIN)/python -m hmnpack.schema.export audit > schema/audit-1.json.new
	mv schema/manifest-1.json.new schema/manifest-1.json
	mv schema/result-1.json.new schema/result-1.json
	mv schema/audit-1.json.new schema/audit-1.json

format: $(STAMP) ## format the code and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, caches and the demo's output
	rm -rf $(VENV) $(OUT) docs/site .coverage* .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
