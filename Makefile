# Evenkeel: `make demo` to watch it work, `make test` and `make check` before every commit.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# What the checks need of an environment; none of it is ever connected to.
CHECK_ENV := ENV_FILE=/dev/null DEBUG=true DATABASE_URL=postgres://check@127.0.0.1/check \
	REDIS_URL=redis://127.0.0.1/0 MAILJET_BASE_URL=http://127.0.0.1:1 MAILJET_API_KEY=check \
	MAILJET_API_SECRET=check MAILJET_MASTER_LIST_ID=1 MAILJET_CAMPAIGN_LIST_1_ID=2 \
	MAILJET_CAMPAIGN_LIST_2_ID=3 MAILJET_SUPPRESSION_LIST_ID=4

.PHONY: demo run test properties chaos check format install

install: $(INSTALLED)

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Evenkeel needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Installing Evenkeel into $(VENV), once (about half a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# make demo [ONCE=1] [RESET=1] [SCENARIO=mid-cycle] [GEMINI=1] [PORT=8001]
demo: $(INSTALLED)
	@$(BIN)/python -m config.demo

# make run [PORT=8001]
run: $(INSTALLED)
	@$(BIN)/python -m config.serve

# one test process more than cores: some tests wait for processes and leases most of their time
test: $(INSTALLED)
	@.ci/chromium
	@$(BIN)/python -m pytest -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist loadgroup

# make properties [GAMES=200]: what holds whatever happens, played for longer, each time differently
properties: $(INSTALLED)
	@EVENKEEL_PROPERTIES=$(or $(GAMES),200) $(BIN)/python -m pytest tests/workflows/test_stateful.py

# make chaos [STEPS=10000]: a worker dies at every instant of every change, a send begins at every instant of a move,
# so many steps are played of whatever can happen, and whatever a run needs goes away in each of its steps; the suite
# takes some of them. Ends with a table of the instants at which a whole run's worker died and one line of JSON
chaos: $(INSTALLED)
	@EVENKEEL_CHAOS=1 $(BIN)/python -m pytest -n auto --dist loadgroup tests/workflows/test_journal.py \
		tests/workflows/test_journal_faults.py tests/workflows/test_consent_crash.py \
		tests/workflows/test_undo_crash.py tests/workflows/test_cycles.py
	@EVENKEEL_STEPS=$(or $(STEPS),10000) $(BIN)/python -m pytest tests/workflows/test_stateful.py
	@$(BIN)/python -m tests.chaos.faults
	@$(BIN)/python -m tests.chaos

check: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(CHECK_ENV) $(BIN)/mypy
	@$(CHECK_ENV) $(BIN)/lint-imports
	@$(CHECK_ENV) $(BIN)/python manage.py makemigrations --check --dry-run

format: $(INSTALLED)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
