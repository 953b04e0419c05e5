#!/usr/bin/env bash
# Writes the locks from pyproject.toml, with hashes, extras as asked for, and without index addresses:
#   requirements.lock        to run            requirements-build.lock  to install the checkout
#   requirements-dev.lock    to run and test   requirements-ci.lock     what CI adds: the engine of the ClickHouse tests, the SBOM tool
# and tests/setup/metadata.json, what each pinned package says that it needs; tests/setup proves with it that the locks are closed.
# Run it after a change of the dependencies: tools/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .build/lock
.build/lock/bin/pip -q install uv packaging
# Extras stay: pip before 24 treats `coverage[toml]` and `coverage` as two requirements. Universal: one lock for every Python and platform.
compile() { .build/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header "$@"; }
compile "$@" pyproject.toml -o requirements.lock
compile "$@" --group build -o requirements-build.lock
compile "$@" pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
compile "$@" --group ci -c requirements-dev.lock -o requirements-ci.lock
.build/lock/bin/python tools/lock_metadata.py
