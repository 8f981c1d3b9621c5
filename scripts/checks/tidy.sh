#!/usr/bin/env bash
# clang-tidy on the C++ files that changed in the four hours before HEAD, a stretch of work, and on
# those not committed; for a changed header, on the sources that include it. What is older was looked
# at when it was new. Usage: scripts/checks/tidy.sh BUILD_DIR (one that clang configured) [all]
set -euo pipefail
cd "$(dirname "$0")/../.."
head_time=$(git log -1 --format=%ct)
base=$(git rev-list -1 --before=$((head_time - 14400)) HEAD)
if [ "${2:-}" = all ] || [ -z "$base" ]; then base=$(git hash-object -t tree /dev/null); fi
changed=$(git diff --name-only --diff-filter=d "$base" -- src cmake
          git ls-files --others --exclude-standard -- src cmake)
files=$(
  while IFS= read -r file; do
    case $file in
      *.cc) echo "$file" ;;
      *.h) grep -rl --include='*.cc' "\"${file#src/}\"" src || [ $? -eq 1 ] ;;
    esac
  done <<<"$changed" | sort -u)
[ -n "$files" ] || { echo "no C++ file changed"; exit 0; }
xargs -P "$(nproc)" -n 4 clang-tidy-19 -p "$1" --quiet <<<"$files"
