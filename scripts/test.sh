#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test.
#   scripts/test.sh         units, goldens, laws of the engine, real clients on the default model
#   scripts/test.sh --all   + formatting, clang-tidy of changed files, clang build, ASan+UBSan, TSan, and
#                             every instruction set forced once (what continuous integration runs)
#   scripts/test.sh --heavy nothing but clients that need gigabytes: lm-evaluation-harness, litellm
set -euo pipefail
cd "$(dirname "$0")/.."
all=0
heavy=0
case "${1:-}" in
  "") ;;
  --all) all=1 ;;
  --heavy) heavy=1 ;;
  *) echo "usage: scripts/test.sh [--all | --heavy]" >&2; exit 2 ;;
esac

# What comes until the next one is a stage: its time is told at the end.
stages=()
began=$SECONDS
stage() {
  [ ${#stages[@]} -eq 0 ] || stages[-1]+=$((SECONDS - began))
  stages+=("$1: ")
  began=$SECONDS
  echo
  echo "== $1"
}

finish() {
  stages[-1]+=$((SECONDS - began))
  echo
  for one in "${stages[@]}"; do
    printf '%6d s  %s\n' "${one##*: }" "${one%: *}"
  done
  echo "all ${#stages[@]} stages passed in $SECONDS s"
}

# Runs the test binaries of a build; further arguments go to CTest. Two tests for each core: many of them wait.
run_ctest() {
  local build=$1
  shift
  ctest --test-dir "$build" --output-on-failure -j $((2 * $(nproc))) --no-tests=error "$@" |
    grep -v -E '^ *(Start|[0-9]+/[0-9]+ Test.*Passed)' || return 1
}

if [ $heavy = 1 ]; then
  stage "build: release"
  scripts/build.sh --tests release dbrx
  stage "clients: lm-evaluation-harness, litellm"
  python/heavy_clients/run.sh
  finish
  exit
fi

stage "setup"
if [ $all = 1 ]; then scripts/setup.sh all; else scripts/setup.sh test; fi

stage "house rules"
scripts/checks/includes.sh
scripts/checks/sizes.sh
if [ $all = 1 ]; then scripts/checks/format.sh; fi

stage "build: release"
scripts/build.sh --tests release
scripts/checks/kernel_symbols.sh build/release

stage "unit tests: release"
run_ctest build/release

stage "the default model's data"
python3 python/nano/test_data.py

stage "tokenizer: npm's tiktoken"
scripts/tiktoken/test.sh

stage "clients: Python and curl"
python/clients/run.sh

stage "clients: openai for Node"
scripts/clients/run.sh

stage "the Playground: units"
web/scripts/install.sh
npm test --silent --prefix web

# The soak waits most of its time, and so does a browser.
stage "the Playground: a browser, beside a soak of 20 seconds"
soak_log=build/soak.log
python3 python/soak/soak.py --seconds 20 --requests 600 --connections 200 >"$soak_log" 2>&1 &
soak=$!
npm run e2e --silent --prefix web
wait $soak || { cat "$soak_log" >&2; exit 1; }
cat "$soak_log"

if [ $all = 1 ]; then
  # Forced instruction sets and sanitizers run the kernels and the tiny model, not the default model.
  # FullSize compares every instruction set by itself, and would take minutes under ASan.
  # The best one that the machine has is what the unit tests above ran with.
  best=$(build/release/dbrx --version | sed 's/.* //')
  for isa in scalar avx2 avx512 amx; do
    [ "$isa" != "$best" ] || break
    stage "tiny model, forced to $isa"
    DBRX_ISA=$isa run_ctest build/release -R '^(kernels|model|engine)\.' -E FullSize
  done

  stage "build and test: clang"
  scripts/build.sh clang
  run_ctest build/clang

  stage "clang-tidy: changed files"
  scripts/checks/tidy.sh build/clang

  stage "build and test: ASan + UBSan"
  scripts/build.sh asan
  run_ctest build/asan -E FullSize
  python3 python/soak/soak.py --binary build/asan/dbrx --seconds 20 --requests 150 --connections 60 \
    --memory-slack 2000 --flood-seconds 0

  stage "build and test: TSan"
  scripts/build.sh tsan test_base test_engine test_telemetry test_server dbrx
  run_ctest build/tsan -R '^(base|engine|telemetry|server)\.' -E fuzz
  python3 python/soak/soak.py --binary build/tsan/dbrx --seconds 20 --requests 150 --connections 60 \
    --memory-slack 2000 --flood-seconds 0
fi
finish
