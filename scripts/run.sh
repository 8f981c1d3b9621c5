#!/usr/bin/env bash
# Installs what is missing, builds, and serves the default model. Further arguments go to `dbrx serve`,
# for example: scripts/run.sh --port 9000
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh release
exec build/release/dbrx serve --model models/dbrx-nano "$@"
