#!/usr/bin/env bash
# Installs the npm packages that package-lock.json pins: llama.cpp's headers and prebuilt libraries for the local
# engine (x86-64 Linux) and the official client for tests. Downloads only; runs no script of any package. The lock
# file holds every package's SHA-512. Does nothing when the packages are already those of the lock file.
#
#   tools/fetch_llama.sh            install
#   tools/fetch_llama.sh --relock   after changing a version in package.json: writes package-lock.json anew
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "fetch_llama: $*" >&2; exit 1; }

# Only files of node-llama-cpp are read and none of its code runs, so the lock file leaves its hundred dependencies out.
relock() {
  npm install --package-lock-only --ignore-scripts --omit=optional --omit-lockfile-registry-resolved --no-audit --no-fund
  node -e '
    const fs = require("fs");
    const lock = JSON.parse(fs.readFileSync("package-lock.json"));
    const wanted = ["", ...Object.keys(lock.packages[""].devDependencies).map(name => "node_modules/" + name)];
    lock.packages = Object.fromEntries(wanted.map(name => [name, lock.packages[name]]));
    for (const kind of ["dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta", "bin"])
      for (const name of wanted.slice(1)) delete lock.packages[name][kind];
    fs.writeFileSync("package-lock.json", JSON.stringify(lock, null, 2) + "\n");'
}
if [[ ${1-} == --relock ]]; then
  relock
  exit 0
fi
[[ $# == 0 ]] || fail "unknown argument $1; only --relock is known"

stamp=node_modules/.inferq-lock
lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [[ -f $stamp && $(<"$stamp") == "$lock" ]]; then
  exit 0
fi

command -v npm >/dev/null || fail "npm is missing. Install the packages nodejs and npm, or run tools/setup.sh."
options=(--ignore-scripts --omit=optional --no-audit --no-fund)
if [[ $(uname -sm) != "Linux x86_64" ]]; then
  echo "fetch_llama: no pinned llama.cpp libraries for $(uname -sm): build llama.cpp yourself and configure with" \
    "-DINFERQ_LLAMA_ROOT=<its tree>, or with -DINFERQ_LLAMA=OFF. Installing the test packages only." >&2
  options+=(--force)
fi
npm ci "${options[@]}" || fail "npm ci failed (see above). Behind a proxy set HTTPS_PROXY; with a mirror, npm config set registry <url>."
echo "$lock" >"$stamp"
