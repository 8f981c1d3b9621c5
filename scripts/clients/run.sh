#!/usr/bin/env bash
# Tests the server with the official Node SDK. Needs a built program:
#   DBRX_BINARY (build/release/dbrx) and DBRX_MODEL (models/dbrx-nano) name what is tested.
set -euo pipefail
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
  npm ci --silent --no-audit --no-fund
  cp package-lock.json node_modules/.installed-lock.json
fi
exec node --test
