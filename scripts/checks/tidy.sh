#!/usr/bin/env bash
# clang-tidy on the C++ files that changed since the last commit that CI saw (the parent of HEAD), and on
# those not committed. Usage: scripts/checks/tidy.sh BUILD_DIR (one that clang configured)
set -euo pipefail
cd "$(dirname "$0")/../.."
base=$(git rev-parse -q --verify HEAD~1 || git hash-object -t tree /dev/null)
mapfile -t files < <({ git diff --name-only --diff-filter=d "$base" -- 'src/*.cc'
                       git ls-files --others --exclude-standard -- 'src/*.cc'; } | sort -u)
[ ${#files[@]} -gt 0 ] || { echo "no C++ file changed"; exit 0; }
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy-19 -p "$1" --quiet
