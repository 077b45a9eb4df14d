# SPDX-License-Identifier: Apache-2.0
# What a person does with this repository. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One configuration for tools, tests and demo, so that nothing is compiled twice: the tests run a
# real model through the kernels, and unoptimised C makes that about thirty times slower.
BUILD := swift build -c release

.PHONY: help setup model build test check bench demo clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## install what is missing (apt-get), silent when nothing is
	@Scripts/setup.sh

model: setup ## fetch SmolLM2-135M-Instruct to $$REFT_HOME/models
	@Scripts/fetch-model.sh

build: setup ## build the tools and plugins (release)
	$(BUILD)

test: setup ## build and run all tests, the real model included where it can be fetched
	@Scripts/test.sh

check: setup ## lint, headers, build, tests, plugins outside SwiftPM, conformance, docs
	@Scripts/check.sh

bench: build ## what the engine reaches on this machine
	@Scripts/bench.sh

demo: setup ## train a LoReFT adapter through a plugin; replies and loss before and after
	@Scripts/demo.sh

clean: ## remove everything that was built or run here
	rm -rf .build .build-* runs
