#!/bin/sh
# Keeps a store as this version of the journal writes it, for the tests of later versions:
#   tools/keep_journal_sample.sh VERSION [BUILD]
# Run it once, when a new version is finished, and raise kSamples in journal_migration_test.cc.
set -eu
version=$1
build=${2:-build/release}
to=src/queue/local/testdata/journal_v$version
store=$(mktemp -d)
INFERQ_SAMPLE=$store/queue.db "$build/bin/queue_test" --gtest_filter='*TheSampleOfTodayIsStored' |
  sed -n '/^-- store/,/^-- end/p' | sed '1d;$d' > "$to.txt"
{
  echo "PRAGMA journal_mode=WAL;"
  sqlite3 "$store/queue.db" .dump
  echo "PRAGMA application_id=$(sqlite3 "$store/queue.db" 'PRAGMA application_id');"
  echo "PRAGMA user_version=$(sqlite3 "$store/queue.db" 'PRAGMA user_version');"
} > "$to.sql"
rm -r "$store"
