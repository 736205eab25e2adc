#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) over C++ sources.
#
#   tools/tidy.sh           the sources that differ from the main branch, or from the last commit on it
#   tools/tidy.sh --all     every source that build/dev compiles
#
# Environment: TIDY_BASE   compare with this commit instead.   JOBS   how many files at once.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly build=build/dev

base_commit() {
  local name
  if [ -n "${TIDY_BASE:-}" ]; then
    echo "$TIDY_BASE"
    return
  fi
  for name in origin/main main; do
    if git rev-parse --verify --quiet "$name" >/dev/null &&
      [ "$(git merge-base "$name" HEAD)" != "$(git rev-parse HEAD)" ]; then
      git merge-base "$name" HEAD
      return
    fi
  done
  git rev-parse --verify --quiet HEAD~1 || git rev-parse HEAD
}

changed_sources() {
  { git diff --name-only --diff-filter=d "$(base_commit)" -- '*.cc'
    git ls-files --others --exclude-standard -- '*.cc'; } | sort -u
}

case "${1:-}" in
  "") mapfile -t files < <(changed_sources) ;;
  --all) mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.cc') ;;
  *) echo "tidy: unknown argument '$1'. Use tools/tidy.sh or tools/tidy.sh --all." >&2; exit 2 ;;
esac

# Only what is compiled has a command line; tools/lint.py complains about the rest.
[ -f "$build/build.ninja" ] || cmake --preset dev >/dev/null
compiled=()
for file in "${files[@]}"; do
  grep -qF "\"$PWD/$file\"" "$build/compile_commands.json" && compiled+=("$file")
done
if [ "${#compiled[@]}" -eq 0 ]; then
  echo "tidy: no changed sources"
  exit 0
fi
cmake --build "$build" -j "${JOBS:-$(nproc)}" --target inferq_pch inferq_pch_asio >/dev/null
echo "tidy: checking ${#compiled[@]} source(s)"
printf '%s\0' "${compiled[@]}" |
  xargs -0 -n 1 -P "${JOBS:-$(nproc)}" clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*'
echo "tidy: clean"
