#!/bin/sh
# Compares the tokenizer with tiktoken's own on some thousand texts, in both directions. Needs node
# (18 or newer), npm, the npm registry at the first run, and a build: scripts/tiktoken/test.sh [DBRX]
set -eu
cd "$(dirname "$0")/../.."
dbrx=${1:-build/release/dbrx}
case $dbrx in /*) ;; *) dbrx=$PWD/$dbrx ;; esac
scripts=$PWD/scripts/tiktoken
mkdir -p build/tiktoken
cp "$scripts/package.json" "$scripts/package-lock.json" build/tiktoken/
cd build/tiktoken
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --no-audit --no-fund
  cp package-lock.json node_modules/.installed
fi
node "$scripts/make_tokenizer.mjs" model
for kind in text special; do
  echo "names of special tokens: $kind"
  node "$scripts/cases.mjs" $kind > $kind.jsonl
  flag=
  [ $kind = text ] || flag=--special
  "$dbrx" tokenize --model model $flag < $kind.jsonl > $kind-ids.jsonl
  "$dbrx" tokenize --model model --decode < $kind.jsonl > $kind-texts.jsonl
  node "$scripts/compare.mjs" $kind.jsonl $kind-ids.jsonl ids
  node "$scripts/compare.mjs" $kind.jsonl $kind-texts.jsonl text
done
