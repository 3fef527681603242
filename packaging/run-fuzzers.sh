#!/bin/sh
# Runs every fuzz target of a build for some seconds each, from its corpus in the tree.
#
#   run-fuzzers.sh BUILD SECONDS
set -eu

build="$1"
seconds="$2"
root="$(cd "$(dirname "$0")/.." && pwd)"
find "$build" -type f -name 'fuzz_*' -perm -u+x | sort | while read -r target; do
  folder="$root/$(dirname "${target#"$build"/}")/corpus"
  work="$build/corpus/$(basename "$target")"
  mkdir -p "$work"
  echo "== $(basename "$target"), ${seconds} s"
  seeds=""
  [ -d "$folder" ] && seeds="$folder"
  # shellcheck disable=SC2086 # empty or one word
  "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 "$work" $seeds
done
