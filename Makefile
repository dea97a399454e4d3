# onnxplain: the front door. CMake does the work (CMakePresets.json); WERROR=ON makes warnings errors.
JOBS   ?= $(shell nproc)
WERROR ?= OFF
PREFIX ?= /usr/local
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
MAKEFLAGS += --no-print-directory
CTEST   = ctest --output-on-failure -j $(JOBS)

# $(call build,PRESET): configure (cheap when nothing changed) and build everything.
build = cmake --preset $(1) -DOXP_WERROR=$(WERROR) >/dev/null && cmake --build --preset $(1) -j $(JOBS)

.PHONY: all demo check check-long asan clang fuzz bench bench-python wheel parity zoo conformance conformance-newest docs fmt lint install clean deps help

all: ## build the command build/onnxplain and the shared library beside it
	@$(call build,release)

demo: deps all ## install what is missing, build, explain the demo photos
	@if [ -x tools/demo ]; then tools/demo; else echo "tools/demo is missing" >&2; exit 1; fi

check: deps all ## install what is missing, build, run the short and medium tests
	@cd build && $(CTEST) -LE long

check-long: deps all ## all tests
	@cd build && $(CTEST)

asan: deps ## the tests of `check` under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(call build,asan)
	@cd build-asan && $(CTEST) -LE long

clang: ## compile everything with clang
	@$(call build,clang)

fuzz: ## libFuzzer on the loader and the engine, half an hour each (tools/fuzz MINUTES TARGET... for others)
	@tools/deps --fuzz
	@tools/fuzz

bench: all ## benchmarks: ours against the bare kernels, in one run
	@bench/run
	@bench/run --methods

bench-python: all ## what the Python binding costs on top of the C library; memory; threads
	@PYTHONPATH=build/python OMP_WAIT_POLICY=passive $(PYTHON) bench/python.py

wheel: deps ## the Python package as a wheel, in build-wheel/
	@PYTHON=$(PYTHON) tools/wheel

parity: all ## compare with other software (installed beside): writes docs/parity.md and docs/zoo.md
	@tools/parity
	@tools/conformance_newest
	@tools/zoo

docs: all ## write what is generated: docs/methods.md, the README's table of methods, docs/api.md, docs/tutorial.md's results, docs/python.md
	@tests/cli/readme.pl methods build/onnxplain README.md --update
	@tools/api_docs.pl
	@PYTHONPATH=build/python $(PYTHON) tests/docs/tutorial.py --update
	@PYTHONPATH=build/python $(PYTHON) python/tools/reference.py

zoo: all ## its part on architectures, against ONNX Runtime and torch in double
	@tools/zoo

conformance: deps all ## run ONNX's own tests, print what is passed, refused and failed, and write docs/operators.md
	@build/tests/conformance/conformance --refused tests/conformance/refused.txt --docs docs/operators.md

conformance-newest: all ## the same with the tests of the newest onnx package (from PyPI, in an environment of its own)
	@tools/conformance_newest

fmt: ## format all C files in place
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r clang-format -i

lint: ## the house rules and the formatting, changing nothing
	@tools/check_layers.sh && tools/check_calls.sh && tools/check_headers.sh && tools/check_sizes.sh
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r clang-format --dry-run --Werror

install: all ## install under PREFIX (default /usr/local); DESTDIR for packages
	@cmake --install build --prefix $(PREFIX)
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true

clean: ## remove all build folders
	@rm -rf build build-*

deps:
	@tools/deps

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22
