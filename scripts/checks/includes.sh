#!/usr/bin/env bash
# The include direction: a floor of src/ may include only the floors named here.
set -euo pipefail
cd "$(dirname "$0")/../.."
declare -A may=(
  [base]="base"
  [tensor]="base tensor"
  [kernels]="base tensor kernels"
  [model]="base tensor kernels model"
  [text]="base text"
  [safety]="base safety"
  [engine]="base tensor kernels model text engine"
  [telemetry]="base tensor kernels model text engine telemetry"
  [server]="base tensor kernels model text safety engine telemetry server"
  [apps]="base tensor kernels model text safety engine telemetry server apps"
)
bad=0
for dir in src/*/; do
  floor=$(basename "$dir")
  if [ -z "${may[$floor]:-}" ]; then
    echo "src/$floor: not a floor of the house (scripts/checks/includes.sh)"
    bad=1
    continue
  fi
  while IFS= read -r line; do
    target=$(sed 's/.*#include "\([a-z_]*\)\/.*/\1/' <<<"$line")
    if [[ " ${may[$floor]} " != *" $target "* ]]; then
      echo "$line: $floor must not include $target"
      bad=1
    fi
  done < <(grep -rn '#include "[a-z_]*/' "$dir" --include='*.h' --include='*.cc' || [ $? -eq 1 ])
done
exit $bad
