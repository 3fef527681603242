#!/bin/sh
# Installs the packages of dependencies.txt that are missing. Does nothing, fast, when none is.
set -eu

list="$(dirname "$0")/dependencies.txt"
missing=""
for package in $(sed 's/#.*//' "$list"); do
  state="$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)"
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "These packages are missing; install them as root:" >&2
  echo "  apt-get install --no-install-recommends$missing" >&2
  exit 1
fi
# A build machine needs the programs of containerd and docker-registry, not their services running.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # a list of words
apt-get install -q -y --no-install-recommends $missing
