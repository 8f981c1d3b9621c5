#!/usr/bin/env bash
# Installs what a folder's requirements.txt lists into a virtual environment of its own, unless it is there. Prints where.
#   venv=$(python/venv.sh python/clients)
set -euo pipefail
folder=$1
cd "$(dirname "$0")/.."
venv=build/venv-$(basename "$folder")
lock=$folder/requirements.txt
if ! cmp -s "$lock" "$venv/installed.txt"; then
  python3 -m venv --clear "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$lock" >&2
  cp "$lock" "$venv/installed.txt"
fi
echo "$venv"
