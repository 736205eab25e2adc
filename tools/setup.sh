#!/usr/bin/env bash
# Installs what inferq needs to build and test, and is quick when nothing is missing.
#
#   tools/setup.sh           installs what is missing (Debian 12 packages, then npm packages)
#   tools/setup.sh --check   only reports; exit code 1 when something is missing
#
# Environment: INFERQ_LLAMA_ROOT   a llama.cpp of your own; the npm packages are then not needed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages=(
  ca-certificates curl git make python3 python3-jsonschema python3-yaml
  cmake ninja-build ccache
  clang-19 lld-19 libclang-rt-19-dev clang-format-19 clang-tidy-19
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libsimdjson-dev libsqlite3-dev zlib1g-dev libzstd-dev libfmt-dev libcli11-dev libssl-dev libxxhash-dev
  libtomlplusplus-dev libspdlog-dev prometheus-cpp-dev libsodium-dev
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev
)
readonly npm_stamp=node_modules/.inferq-lock

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Names of wanted Debian packages that are not installed, one per line.
missing_packages() {
  local wanted=("${packages[@]}") installed name
  command -v node >/dev/null || wanted+=(nodejs)
  command -v npm >/dev/null || wanted+=(npm)
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
  for name in "${wanted[@]}"; do
    grep -qx "installed $name" <<<"$installed" || echo "$name"
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    fail "needs root to install packages and there is no sudo. As root, run: $*"
  fi
}

have_package_lists() { compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

apt_install() { as_root apt-get install -y --no-install-recommends "$@"; }

install_packages() {
  command -v apt-get >/dev/null ||
    fail "no apt-get here. On a system other than Debian 12, install the equivalents of: $*"
  say "installing $*"
  have_package_lists || as_root apt-get update
  if ! apt_install "$@"; then
    say "refreshing the package lists, then trying once more"
    as_root apt-get update
    apt_install "$@" || fail "apt-get could not install: $* (is this Debian 12 with its main archive?)"
  fi
}

# tools/fetch_llama.sh leaves the hash of the lock file that it installed.
npm_is_current() {
  [ -n "${INFERQ_LLAMA_ROOT:-}" ] && return 0
  [ -f "$npm_stamp" ] && [ "$(cat "$npm_stamp")" = "$(sha256sum package-lock.json | cut -d' ' -f1)" ]
}

check_only() {
  local missing status=0
  missing=$(missing_packages | tr '\n' ' ')
  if [ -n "$missing" ]; then
    say "missing Debian packages: $missing"
    status=1
  fi
  if ! npm_is_current; then
    say "npm packages are missing or older than package-lock.json"
    status=1
  fi
  [ "$status" -eq 0 ] && say "nothing is missing"
  exit "$status"
}

case "${1:-}" in
  "") ;;
  --check) check_only ;;
  *) fail "unknown argument '$1'. Use tools/setup.sh or tools/setup.sh --check." ;;
esac

mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}"
npm_is_current || tools/fetch_llama.sh
