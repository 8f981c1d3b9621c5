#!/usr/bin/env bash
# No source file over 800 lines, generated tables (*_data.cc) aside.
set -euo pipefail
cd "$(dirname "$0")/../.."
find src python scripts web -name '*.cc' -o -name '*.h' -o -name '*.rs' -o -name '*.py' -o -name '*.sh' \
  -o -name '*.ts' -o -name '*.tsx' -o -name '*.mjs' -o -name '*.css' |
  grep -v -e '_data\.cc$' -e '/\.venv/' -e '/node_modules/' | xargs wc -l |
  awk '$2 != "total" && $1 > 800 {print $2 ": " $1 " lines"; bad = 1} END {exit bad}'
