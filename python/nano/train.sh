#!/bin/sh
# Makes dbrx-nano from nothing: environment, tokenizer, training, export. Goes on where a stopped run ended.
# Usage: python/nano/train.sh [--minutes 55] [--continue]
# --continue goes on from the weights in models/dbrx-nano and keeps their tokenizer.
set -e
cd "$(dirname "$0")"
venv=../.venv
out=../../models/dbrx-nano
if [ ! -x $venv/bin/python ]; then
  python3 -m venv $venv
  $venv/bin/pip install --quiet -r ../requirements.txt
fi
# One thread per process, and freed memory kept: giving pages back after every operation costs more than the operation.
export OMP_NUM_THREADS=1 ONEDNN_PRIMITIVE_CACHE_CAPACITY=8192
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=200000000
if [ ! -e run/checkpoint.pt ] && ! echo "$*" | grep -q -e --continue; then
  $venv/bin/python tokenizer.py --out $out
fi
exec $venv/bin/python train.py --out $out "$@"
