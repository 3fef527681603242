#!/bin/sh
# Installs s3rver, an S3 server for tests, into the given folder. Without npm (root: through apt) this
# says so and succeeds, and the tests say what they left out.
#
#   install-s3rver.sh FOLDER VERSION
set -eu

folder="$1"
version="$2"
if grep -q "\"version\": \"$version\"" "$folder/node_modules/s3rver/package.json" 2>/dev/null; then
  exit 0
fi
if ! command -v npm >/dev/null && [ "$(id -u)" = 0 ]; then
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends npm || true
fi
if ! command -v npm >/dev/null; then
  echo "npm is not here: the S3 back end is not tested against a server."
  exit 0
fi
mkdir -p "$folder"
for attempt in 1 2 3; do
  if npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --no-package-lock \
    "s3rver@$version"; then
    exit 0
  fi
  echo "attempt $attempt to install s3rver $version failed" >&2
done
exit 1
