#!/usr/bin/env bash
# Objects compiled for an instruction set must not define weak symbols: the linker could pick an AVX-512
# copy of an inline function for the whole program. Usage: scripts/checks/kernel_symbols.sh BUILD_DIR
set -euo pipefail
bad=0
found=0
while IFS= read -r object; do
  found=1
  weak=$(nm --defined-only "$object" | awk '$2 ~ /^[WVuvw]$/ {print $3}')
  if [ -n "$weak" ]; then
    echo "$object defines weak symbols:"
    c++filt <<<"$weak" | sed 's/^/  /'
    bad=1
  fi
done < <(find "$1" -name '*_avx2.cc.o' -o -name '*_avx512.cc.o' -o -name '*_amx.cc.o')
[ $found = 1 ] || { echo "no kernel objects under $1"; exit 1; }
exit $bad
