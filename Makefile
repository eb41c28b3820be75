# Only Python 3.11+ and make are needed: each target installs what it uses into .venv first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo pictures messages test lint bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/augment-mri demo --out runs/demo --resume

# The README's pictures, from the demo's own files; the screenshots need Debian's chromium.
pictures: demo
	mkdir -p docs/pictures
	cp runs/demo/pictures/0-tumour-real.png docs/pictures/tumour-real.png
	cp runs/demo/pictures/0-tumour-synthetic.png docs/pictures/tumour-synthetic.png
	cp runs/demo/pictures/0-no_tumour-real.png docs/pictures/no-tumour-real.png
	cp runs/demo/pictures/0-no_tumour-synthetic.png docs/pictures/no-tumour-synthetic.png
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,880 \
		--screenshot=docs/pictures/report.png file://$(CURDIR)/runs/demo/report.html
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=500,1000 \
		--blink-settings=preferredColorScheme=0 \
		--screenshot=docs/pictures/report-phone.png file://$(CURDIR)/runs/demo/report.html

# Turkish and Croatian: new messages come in empty, and a test fails until they are translated.
messages: $(STAMP)
	$(BIN)/python -m reports.messages

test: $(STAMP)
	$(BIN)/pytest

lint: $(STAMP)
	$(BIN)/ruff check --no-cache .  # a cached verdict on imports outlives the modules it was about
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/ingest_speed.py
	$(BIN)/python benchmarks/ingest_memory.py
	$(BIN)/python benchmarks/metrics_speed.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/duplicates_scale.py

clean:
	rm -rf .venv runs
