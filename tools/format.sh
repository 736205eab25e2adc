#!/usr/bin/env bash
# Formats the C++ files of the tree in place; with --check only names those that are not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc')
existing=()
for file in "${files[@]}"; do
  [ -e "$file" ] && existing+=("$file")
done
[ "${#existing[@]}" -gt 0 ] || exit 0

case "${1:-}" in
  "") clang-format-19 -i "${existing[@]}" ;;
  --check)
    bad=$(clang-format-19 --dry-run "${existing[@]}" 2>&1 | sed -n 's/^\([^:]*\):.*\[-Wclang-format-violations\]$/\1/p' | sort -u)
    [ -z "$bad" ] && exit 0
    printf 'not formatted: %s\n' $bad >&2
    echo "format: run make format" >&2
    exit 1
    ;;
  *) echo "format: unknown argument '$1'. Use tools/format.sh or tools/format.sh --check." >&2; exit 2 ;;
esac
