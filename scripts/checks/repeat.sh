#!/usr/bin/env bash
# Looks for tests that fail now and then: runs the stages that real clients, browsers and clocks take part in again and
# again, and the unit tests. Every second run shares the machine with as many busy loops as it has cores. Needs a build
# with tests. Not part of continuous integration: it takes hours.
#   scripts/checks/repeat.sh [CLIENT_RUNS [UNIT_RUNS]]     30 and 10 unless said otherwise
# The output of each failed run stays in build/repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."
client_runs=${1:-30}
unit_runs=${2:-10}
logs=build/repeat
rm -rf "$logs"
mkdir -p "$logs"

busy=()
trap 'kill "${busy[@]}" 2>/dev/null || :' EXIT
keep_busy() {
  for ((core = 0; core < $(nproc); ++core)); do
    (while :; do :; done) &
    busy+=($!)
  done
}
let_rest() {
  [ ${#busy[@]} -gt 0 ] || return 0
  kill "${busy[@]}"
  wait "${busy[@]}" 2>/dev/null || :
  busy=()
}

n_passed=0
n_failed=0
# once NAME RUN COMMAND...
once() {
  local name=$1 run=$2
  shift 2
  local log=$logs/$name-$run.log began=$SECONDS
  if "$@" >"$log" 2>&1; then
    n_passed=$((n_passed + 1))
    echo "$name, run $run: passed in $((SECONDS - began)) s${busy[*]:+, busy machine}"
    rm "$log"
  else
    n_failed=$((n_failed + 1))
    echo "$name, run $run: FAILED after $((SECONDS - began)) s${busy[*]:+, busy machine}: see $log"
  fi
}

for ((run = 1; run <= client_runs || run <= unit_runs; ++run)); do
  if ((run % 2 == 0)); then keep_busy; fi
  if ((run <= unit_runs)); then
    once units $run ctest --test-dir build/release --output-on-failure -j $((2 * $(nproc))) --no-tests=error
  fi
  if ((run <= client_runs)); then
    once python $run python/clients/run.sh
    once node $run scripts/clients/run.sh
    once browser $run npm run e2e --silent --prefix web
    once soak $run python3 python/soak/soak.py --seconds 20 --requests 600 --connections 200
  fi
  let_rest
done
echo "$n_passed passed, $n_failed failed"
[ $n_failed = 0 ]
