#!/usr/bin/env bash
# Tests the server with the official Python SDK and with raw sockets. Needs a built program:
#   DBRX_BINARY (build/release/dbrx) and DBRX_MODEL (models/dbrx-nano) name what is tested.
# Files of tests run side by side, one for each core. Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=$(python/venv.sh python/clients)
exec "$venv/bin/pytest" -q -p no:cacheprovider -n "$(nproc)" --dist loadfile python/clients "$@"
