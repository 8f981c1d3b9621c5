#!/usr/bin/env bash
# Every C++ file is as clang-format 19 writes it. `scripts/checks/format.sh --fix` makes it so.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t files < <(find src cmake -name '*.cc' -o -name '*.h' | sort)
if [ "${1:-}" = --fix ]; then
  clang-format-19 -i "${files[@]}"
else
  clang-format-19 --dry-run --Werror "${files[@]}"
fi
