# One word does one thing; `make help` lists them. Everything is installed into .venv, once.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-prompts bench-images bench-combo bench-generator bench-provenance bench-review bench-load chaos capacity sim-abuse fuzz proto docs constraints audit hashes clean
SHELL := /bin/bash

PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet -c constraints/cpu.txt
# What a house and the tour need, and what working on it needs on top.
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
# What looks at the packages is none of them: an environment apart.
AUDIT := $(VENV)/audit
EXTRAS := all,nudenet,tour
# Alone, since it asks for opencv-python, whose files are those of opencv-python-headless: one of them alone may be
# installed. What else it needs is in the extra [image-filter].
READER := $(PIP) --no-deps rapidocr-onnxruntime==1.4.4
# For the same reason; only bench-provenance compares with it. The extra [bench] has what else it needs.
PEER := $(PIP) --no-deps invisible-watermark==0.2.0
PROTOS := $(wildcard proto/portcullis/v1/*.proto)
PROTOC := $(PY) -m grpc_tools.protoc -I proto --plugin=protoc-gen-mypy=$(VENV)/bin/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(VENV)/bin/protoc-gen-mypy_grpc
# Where the generated pages are written: a scratch folder when they are only compared.
DOCS ?= docs
DASHBOARDS ?= deploy/grafana/dashboards
FUZZ_SECONDS ?= 60
FUZZED := prompts images policies banks manifests messages
# Those with a word of their own take minutes to an hour; brokers.py, load_path.py and watermark_*.py are what they use.
WITH_A_WORD := $(addprefix benchmarks/,abuse.py brokers.py console.py generator.py load.py load_path.py review_storm.py) \
	$(wildcard benchmarks/watermark*.py)
BENCHMARKS := $(filter-out $(WITH_A_WORD),$(wildcard benchmarks/*.py))

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything into .venv (done once, by itself)

$(READY): pyproject.toml constraints/cpu.txt
	@echo "· set-up: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "· set-up: torch for the CPU"
	@$(PIP) 'torch==2.13.0'
	@echo "· set-up: Portcullis with [$(EXTRAS)]"
	@echo "  [nudenet] is the NudeNet detector under AGPL-3.0: it runs in a process of its own and is in no other extra;"
	@echo "  to go without: make EXTRAS=all,tour …"
	@$(PIP) -e '.[$(EXTRAS)]'
	@echo "· set-up: the reader of text in pictures"
	@$(READER)
	@touch $@
	@echo "· set-up: done"

$(TOOLS): $(READY)
	@echo "· set-up: tools for tests, checks and training"
	@$(PIP) -e '.[$(EXTRAS),dev,bench]'
	@$(PEER)
	@$(PY) tests/kubectl.py
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get install -qq -y chromium >/dev/null 2>&1; } || \
	  echo "  no Chromium: the console's tests in a browser are skipped; install Debian's chromium to run them"
	@touch $@

demo: $(READY) ## Start a house of its own and take the guided tour
	@$(PY) -m demo.tour

test: check ## Checks, then every test
	@tests/servers.sh
	@$(PY) -m pytest -q --numprocesses 2 --dist loadfile --ignore tests/e2e --ignore tests/integration/console
	@$(PY) -m pytest -q tests/integration/console tests/e2e

check: $(TOOLS) ## Lint, format, types, contract, generated files
	@echo "· ruff" && $(VENV)/bin/ruff check --quiet . && $(VENV)/bin/ruff format --quiet --check .
	@echo "· mypy" && $(VENV)/bin/mypy --no-error-summary
	@echo "· buf lint" && $(VENV)/bin/buf lint
	@echo "· generated files are current"
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && mkdir "$$fresh/stubs" "$$fresh/docs" && \
	  $(PROTOC) --python_out="$$fresh/stubs" --grpc_python_out="$$fresh/stubs" --mypy_out=quiet:"$$fresh/stubs" \
	    --mypy_grpc_out=quiet:"$$fresh/stubs" $(PROTOS) && \
	  $(MAKE) --no-print-directory pages DOCS="$$fresh/docs" DASHBOARDS="$$fresh/dashboards" && \
	  diff -r -q -x __pycache__ -x __init__.py "$$fresh/stubs/portcullis/v1" portcullis/v1 && \
	  diff -q "$$fresh/docs/api.md" docs/api.md && diff -q "$$fresh/docs/configuration.md" docs/configuration.md && \
	  diff -q "$$fresh/docs/combo-rules.md" docs/combo-rules.md && \
	  diff -q "$$fresh/docs/licences.md" docs/licences.md && \
	  diff -r -q "$$fresh/dashboards" deploy/grafana/dashboards || \
	  { echo "run make proto docs and commit what changes"; exit 1; }

bench: $(TOOLS) ## Measure what the house promises, about speed and about prompts
	@set -e; for script in $(BENCHMARKS); do echo "· $$script"; PYTHONPATH=. $(PY) $$script; done

fuzz: $(TOOLS) ## Feed any bytes to prompts, pictures, policies, banks, manifests, messages (FUZZ_SECONDS=60 for all), then to a whole house
	@mkdir -p out/fuzz
	@set -e; for target in $(FUZZED); do echo "· $$target"; \
	  PYTHONPATH=. $(PY) -m tests.fuzz $$target -max_total_time=$$(($(FUZZ_SECONDS) / $(words $(FUZZED)))) -max_len=16384 \
	    -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 -artifact_prefix=out/fuzz/$$target- \
	    out/fuzz/$$target; done
	@echo "· every method of a whole house" && PORTCULLIS_TEST_MESSAGES=$(FUZZ_SECONDS) $(PY) -m pytest -q tests/e2e/test_any_message.py

bench-prompts: $(TOOLS) ## The prompt filter: goals and figures on held-out texts, other filters beside it
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/prompt_filter.py

bench-images: $(TOOLS) ## The image filter: goals and figures, plain NudeNet and haar beside it; REAL=, DRAWN=, FACELESS= for your folders
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/image_filter.py $(if $(REAL),--real '$(REAL)') \
	  $(if $(DRAWN),--drawn '$(DRAWN)') $(if $(FACELESS),--faceless '$(FACELESS)')

bench-combo: $(TOOLS) ## The combo filter: pairs, edits, the scenes world, what a check costs; PHOTOS= for your folder
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/combo_filter.py
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/combo_photographs.py $(if $(PHOTOS),--photos '$(PHOTOS)')

bench-generator: $(TOOLS) ## The generator: shared steps against one request at a time and batches of requests, a storm of 1,000 (minutes)
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/generator.py

bench-provenance: $(TOOLS) ## The invisible mark: attacks, another beside it, CPU time, an attacker with AVERAGED=n pictures; manifests; the registry; PHOTOS= for your folder of 512/ and 1024/
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/watermark.py $(if $(PHOTOS),--photos '$(PHOTOS)') \
	  $(if $(AVERAGED),--averaged '$(AVERAGED)')
	@set -e; for script in manifests registry; do echo "· $$script"; PYTHONPATH=. $(PY) benchmarks/$$script.py; done

capacity: $(TOOLS) ## What a house needs from 2 million pictures a day on: pods, GPUs, Postgres, money; SET="peak=3 …", MEASURE=1 (15 minutes)
	@PYTHONPATH=. OMP_NUM_THREADS=1 MEASURE='$(MEASURE)' SET='$(SET)' $(PY) -m benchmarks.capacity

sim-abuse: $(TOOLS) ## A simulated month of abuse on the rules as shipped: who is stopped, who is hurt; SEED=1 by default
	@PYTHONPATH=. OMP_NUM_THREADS=1 $(PY) benchmarks/abuse.py

bench-review: $(TOOLS) ## The review desk: claims, the limiter and the console's pages, then 100,000 items through kills on every broker (an hour); ITEMS=n for fewer
	@tests/servers.sh
	@set -e; for script in claims limiter console; do echo "· $$script"; PYTHONPATH=. $(PY) benchmarks/$$script.py; done
	@PYTHONPATH=. $(PY) benchmarks/review_storm.py $(if $(ITEMS),--items $(ITEMS))

bench-load: $(TOOLS) ## A whole house under load: what it bears, twice that, an hour of it; MINUTES=n shortens both
	@PYTHONPATH=. $(PY) benchmarks/load.py $(if $(MINUTES),--minutes $(MINUTES))

chaos: $(TOOLS) ## Kill, stop, slow, cut off, fill, skew and spoil what a house needs, and check the books; ONLY=word for some, BROKER=rabbitmq
	@tests/servers.sh
	@PYTHONPATH=. GRPC_VERBOSITY=NONE $(PY) -m benchmarks.chaos $(if $(ONLY),--only '$(ONLY)') $(if $(BROKER),--broker '$(BROKER)')

proto: $(TOOLS) ## Generate the stubs in portcullis/v1 from proto/
	@$(PROTOC) --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. $(PROTOS)

docs: $(TOOLS) pages ## Write docs/{api,configuration,combo-rules,licences}.md, the dashboards for Grafana and what deploy/k8s makes of them
	@$(PY) deploy/k8s/make_monitoring.py

.PHONY: pages
pages:
	@$(PY) docs/generate_api.py > $(DOCS)/api.md
	@$(PY) docs/generate_rules.py > $(DOCS)/combo-rules.md
	@$(VENV)/bin/portcullis config --markdown > $(DOCS)/configuration.md
	@$(PY) docs/generate_licences.py > $(DOCS)/licences.md
	@$(PY) -m deploy.grafana.generate $(DASHBOARDS)

audit: $(TOOLS) $(AUDIT)/.ready ## Known holes in what is pinned (needs the network), the bill of materials into out/, the list of licences
	@mkdir -p out
	@$(AUDIT)/bin/cyclonedx-py environment $(PY) --pyproject pyproject.toml --output-reproducible -o out/sbom.cdx.json
	@echo "· the bill of materials is out/sbom.cdx.json (CycloneDX)"
	@$(PY) docs/generate_licences.py | diff -q - docs/licences.md || { echo "run make docs and look at what changed"; exit 1; }
	@$(AUDIT)/bin/python constraints/audit.py $(AUDIT)/bin/pip-audit constraints/cpu.txt

hashes: $(AUDIT)/.ready ## The sha256 of every file of what is pinned, into constraints/hashes.txt
	@{ echo "# sha256 of every file of what cpu.txt pins, as the package index tells them; made by make hashes."; \
	  $(AUDIT)/bin/uv pip compile constraints/cpu.txt --no-deps --generate-hashes --no-annotate --no-header --quiet \
	    --python-version 3.11 --python-platform x86_64-manylinux_2_28; } > constraints/hashes.txt

$(AUDIT)/.ready:
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1 uv==0.13.9
	@touch $@

constraints: $(TOOLS) ## Pin in constraints/cpu.txt what is installed now
	@{ echo "# What every package was when the house last passed its tests; made by make constraints."; \
	  $(PY) -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints/cpu.txt

clean: ## Remove what was built and measured; the data homes stay
	rm -rf $(VENV) build dist out *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis benchmarks/results
