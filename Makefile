# make audit and make test are all that one needs; make help lists the rest.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(if $(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null | grep True),$(name))))
VENV ?= .venv
BIN := $(VENV)/bin
ENGINE := ansible_collection/plugins/module_utils
ARGS ?=
UNITS ?= /etc/systemd/system
# Only what pyproject.toml names is installed, not pidhygiene itself: everything runs from the checkout, and an installed engine would win over the
# one that Salt synchronises.
REQUIREMENTS = $(BIN)/python -c 'import sys, tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*(each for name in sys.argv[1:] for each in extras[name] if not each.startswith("pidhygiene")), sep="\n")'
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --requirement
export LC_ALL := C.UTF-8# what Ansible asks for, present on every Debian and Ubuntu

.PHONY: help audit policy plan nightly test benchmark lint static venv sanity archive clean
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

audit: $(VENV)/.audit ## audit this machine through Ansible; ARGS="-b -K" to become root
	@$(BIN)/python -c 'import os; [os.set_blocking(each, True) for each in (0, 1, 2)]'  # Ansible refuses others, which some terminals and runners hand down
	@$(BIN)/ansible-playbook --inventory localhost, --connection local --extra-vars ansible_python_interpreter=$(abspath $(BIN)/python) $(ARGS) playbooks/audit.yml

policy: $(VENV)/.audit ## policy.yml for -e @policy.yml: what the last audit found is accepted until a date; ARGS="--owner NAME --days N"
	@PYTHONPATH=$(ENGINE) $(BIN)/python -m controller policy suggest pidhygiene-report --output policy.yml --for ansible $(ARGS)

plan: $(VENV)/.audit ## a reviewable plan.yml that repairs what the last audit found
	@PYTHONPATH=$(ENGINE) $(BIN)/python -m controller plan $(or $(ARGS),pidhygiene-report -o plan.yml)

nightly: ## show a timer of systemd that audits the fleet every night; ARGS=install (as root) installs and starts it
	@sed -e 's|@CHECKOUT@|$(CURDIR)|g; s|@BIN@|$(abspath $(BIN))|g; s|@USER@|$(or $(SUDO_USER),$(shell id -un))|g' docs/fleet/nightly/pidhygiene-nightly.service \
		$(if $(filter install,$(ARGS)),> $(UNITS)/pidhygiene-nightly.service,)
	@$(if $(filter install,$(ARGS)),cp docs/fleet/nightly/pidhygiene-nightly.timer $(UNITS)/ && systemctl daemon-reload && systemctl enable --now pidhygiene-nightly.timer && \
		systemctl list-timers pidhygiene-nightly.timer,echo; cat docs/fleet/nightly/pidhygiene-nightly.timer)

test: $(VENV)/.dev ## all tests; those on real hosts need root and tests/lab/apt-packages.txt
	@$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(ARGS)

benchmark: $(VENV)/.dev ## measure what benchmarks/README.md promises, on hosts of the lab; root
	@$(BIN)/python -m benchmarks $(or $(ARGS),all)

lint: export PATH := $(abspath $(BIN)):$(PATH)
lint: export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/playbooks/collections
lint: static sanity ## ruff, mypy, ansible-lint, documentation and changelog of the collection, ansible-test sanity

static: $(VENV)/.dev
	ruff check .
	MYPYPATH=$(ENGINE) mypy --strict --cache-dir .mypy_cache/engine -p pidhygiene
	MYPYPATH=$(ENGINE) mypy --strict --cache-dir .mypy_cache/controller controller
	ansible-lint --offline --profile production playbooks ansible_collection
	cd $(ANSIBLE_COLLECTIONS_PATH)/ansible_collections/pidhygiene/host && antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self .
	cd ansible_collection && antsibull-changelog lint

sanity: export PATH := $(abspath $(BIN)):$(PATH)
sanity: $(VENV)/.dev ## ansible-test sanity, in a copy, as it wants a path that ends in ansible_collections/pidhygiene/host
	@.ci/sanity

archive: export PATH := $(abspath $(BIN)):$(PATH)
archive: $(VENV)/.dev ## dist/pidhygiene-VERSION.tar.gz: everything to install without a clone, and without a network
	@.ci/archive

venv: $(VENV)/.dev ## everything that development needs, in .venv

$(VENV)/.audit: pyproject.toml
	@$(if $(PYTHON),:,echo "pidhygiene needs Python 3.11 or newer on the machine that runs Ansible (audited hosts: 3.6)." >&2; exit 1)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python cannot make a virtual environment here; run: sudo apt-get install -y python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV) (once) ..."; $(PYTHON) -m venv $(VENV); }
	@$(REQUIREMENTS) ansible controller > $(VENV)/requirements && $(PIP_INSTALL) $(VENV)/requirements
	@touch $@

$(VENV)/.dev: $(VENV)/.audit
	@echo "Installing what development needs into $(VENV) (once, a minute or two) ..."
	@$(REQUIREMENTS) ansible controller postgresql dev > $(VENV)/requirements && $(PIP_INSTALL) $(VENV)/requirements
	@touch $@

clean: ## remove what make made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
