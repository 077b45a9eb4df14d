#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs all tests. Tests that need the real model are skipped, with a line that says so,
# where it cannot be fetched. Arguments go to `swift test`, e.g. --filter ReFTTensorTests.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! model=$(Scripts/fetch-model.sh); then
  echo "test: the model could not be fetched (see above); tests that need it will be skipped" >&2
else
  export REFT_TEST_MODEL=${REFT_TEST_MODEL:-$model}
fi
# The end-to-end tests run the built tools as processes, so everything is built first.
swift build -c release --build-tests
reft=$(swift build -c release --show-bin-path)/reft
if ! "$reft" model pull gemma-3-270m >/dev/null; then
  echo "test: Gemma could not be fetched (see above); tests that need it will be skipped" >&2
fi
swift test -c release --skip-build --parallel "$@"
