#!/usr/bin/env bash
# Writes requirements.lock (to run), requirements-dev.lock (to run and test) and requirements-clickhouse.lock (with the engine on which CI
# tests the ClickHouse adapter) from pyproject.toml, with hashes and without index addresses.
# Run it after a change of the dependencies: tools/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .build/lock
.build/lock/bin/pip -q install pip-tools
compile() { .build/lock/bin/pip-compile -q --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe --no-header "$@" pyproject.toml; }
compile "$@" -o requirements.lock
compile "$@" --extra dev -c requirements.lock -o requirements-dev.lock
compile "$@" --extra clickhouse-test -c requirements-dev.lock -o requirements-clickhouse.lock
