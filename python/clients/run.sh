#!/usr/bin/env bash
# Tests the server with the official Python SDK and with raw sockets. Needs a built program:
#   DBRX_BINARY (build/release/dbrx) and DBRX_MODEL (models/dbrx-nano) name what is tested.
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=build/venv-clients
lock=python/clients/requirements.txt
if ! cmp -s "$lock" "$venv/installed.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check -r "$lock"
  cp "$lock" "$venv/installed.txt"
fi
exec "$venv/bin/pytest" -q -p no:cacheprovider python/clients "$@"
