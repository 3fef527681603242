#!/bin/sh
# Builds containerd 2.x with its ctr and shim into the given folder, for the tests and the demo.
# Debian 12 has containerd 1.6 only. Needs Go 1.26; without it this says so and succeeds, and the
# tests say what they left out.
#
#   install-containerd2.sh FOLDER VERSION
set -eu

folder="$1"
version="$2"
if [ -x "$folder/containerd" ] && "$folder/containerd" --version 2>/dev/null | grep -q "v2\."; then
  exit 0
fi
minor="$(go version 2>/dev/null | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')"
if [ "${minor:-0}" -lt 26 ]; then
  echo "Go 1.26 or newer is not here: everything runs on Debian's containerd 1.6 only."
  exit 0
fi
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"
module=github.com/containerd/containerd/v2
for attempt in 1 2 3; do
  if GOBIN="$folder" GOFLAGS=-buildvcs=false go install -ldflags "-s -w -X $module/version.Version=v$version" \
    "$module/cmd/containerd@v$version" "$module/cmd/ctr@v$version" \
    "$module/cmd/containerd-shim-runc-v2@v$version"; then
    exit 0
  fi
  echo "attempt $attempt to build containerd $version failed" >&2
done
exit 1
