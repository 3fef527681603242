#!/bin/sh
# Builds content-reference, containerd's local content store behind its own content server, into the
# given folder: what the differential test compares the plugin's socket with. Needs Go as
# install-containerd2.sh does; without it this says so and succeeds, and the test says what it left
# out.
#
#   install-content-reference.sh FOLDER
set -eu

folder="$1"
source="$(cd "$(dirname "$0")/../e2e/differential/reference" && pwd)"
program="$folder/content-reference"
if [ -x "$program" ] && [ -z "$(find "$source" -newer "$program" -type f)" ]; then
  exit 0
fi
minor="$(go version 2>/dev/null | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')"
if [ "${minor:-0}" -lt 26 ]; then
  echo "Go 1.26 or newer is not here: the plugin's socket is not compared with containerd's store."
  exit 0
fi
mkdir -p "$folder"
program="$(cd "$folder" && pwd)/content-reference"
for attempt in 1 2 3; do
  if (cd "$source" && go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$program" .); then
    exit 0
  fi
  echo "attempt $attempt to build content-reference failed" >&2
done
exit 1
