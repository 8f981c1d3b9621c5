#!/usr/bin/env bash
# Tests the server with clients that drag in gigabytes: litellm, and lm-evaluation-harness, whose results are compared
# with a forward pass in NumPy. Needs a built program; installs 1.1 GB into a venv of its own. DBRX_BINARY
# (build/release/dbrx) and DBRX_MODEL (models/dbrx-nano; bf16, in one file) name what is tested. Further arguments go to
# pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=$(python/venv.sh python/heavy_clients)
# Tasks and data are files of this folder: nothing is to be looked for elsewhere.
export HF_HOME="$PWD/build/hf-home" HF_HUB_OFFLINE=1
exec "$venv/bin/pytest" -q --disable-warnings -p no:cacheprovider python/heavy_clients "$@"
