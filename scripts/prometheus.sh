#!/usr/bin/env bash
# Prints a folder that has prometheus and promtool, for tests. Where they are not installed, Debian's package is unpacked
# into build/: installing it would start a service.
#   bin=$(scripts/prometheus.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  dirname "$(command -v promtool)"
  exit
fi
folder=$PWD/build/prometheus
if [ ! -x "$folder/usr/bin/promtool" ]; then
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && apt-get download -qq prometheus >&2 && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
fi
echo "$folder/usr/bin"
