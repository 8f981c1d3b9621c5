#!/usr/bin/env bash
# Installs what is missing on a Debian 12 machine. Usage: scripts/setup.sh build|test|all
#   build  what scripts/build.sh needs: compiler, CMake, libraries, cargo, Node
#   test   + GoogleTest, Google Benchmark, Python, curl, openssl, Chromium and Prometheus for the client tests
#   all    + clang 19 with its tools and sanitizer runtimes
set -euo pipefail

build_packages=(
  ca-certificates g++ cmake ninja-build pkg-config git
  libboost1.81-dev libboost-json1.81-dev libssl-dev libcli11-dev libspdlog-dev libfmt-dev libedit-dev
  ccache libxxhash-dev libhwloc-dev libpcre2-dev prometheus-cpp-dev
)
test_packages=(libgtest-dev libbenchmark-dev python3 python3-venv curl openssl chromium)
all_packages=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev)

# What plain Debian 12 has, without its security updates, and all that our crates need.
minimum_cargo=1.85

packages=("${build_packages[@]}")
case "${1:-build}" in
  build) ;;
  test) packages+=("${test_packages[@]}") ;;
  all) packages+=("${test_packages[@]}" "${all_packages[@]}") ;;
  *) echo "usage: scripts/setup.sh build|test|all" >&2; exit 2 ;;
esac

# Debian splits what other sources of these tools bring together, so the tools decide, not the packages.
have_cargo() {
  local version
  version=$(PATH="$PATH:$HOME/.cargo/bin" cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ "$(printf '%s\n' "$minimum_cargo" "$version" | sort -V | head -n 1)" = "$minimum_cargo" ]
}
have_node() {
  command -v npm >/dev/null || return 1
  local major
  major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || return 1
  [ "${major:-0}" -ge 18 ]
}
have_cargo || packages+=(cargo-web rustc-web)
have_node || packages+=(nodejs npm)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
    missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    echo "scripts/setup.sh: run as root, or install these packages yourself: ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
[ "${1:-build}" = build ] || "$(dirname "$0")/prometheus.sh" >/dev/null
have_cargo || {
  echo "scripts/setup.sh: the first cargo in PATH is older than $minimum_cargo: run 'rustup update' or remove it" >&2
  exit 1
}
