#!/bin/sh
# Brings a node whose plugin has failed for good back to containerd's built-in store, which has every
# image: same folder, same layout. Never two stores at once: the plugin and its socket are stopped
# before containerd comes up with the other one. Never for a hiccup: systemd starts this when the
# start limit is hit, and it looks again for itself. It never turns Eagle on again; that is
#
#   rm /etc/eagle/disabled && systemctl start eagle-plugin.socket eagle-plugin && systemctl restart containerd
set -eu

# Another root is for tests only.
root="${EAGLE_ROOT:-}"
guard="${EAGLE_GUARD:-$root/etc/eagle/guard.sh}"
disabled="$root/etc/eagle/disabled"
rancher="$root/var/lib/rancher"
folders="$root/etc/containerd/conf.d
$rancher/k3s/agent/etc/containerd/config.toml.d
$rancher/k3s/agent/etc/containerd/config-v3.toml.d
$rancher/rke2/agent/etc/containerd/config.toml.d
$rancher/rke2/agent/etc/containerd/config-v3.toml.d"

say() {
  echo "eagle-fallback: $*"
}

drop_in_is_there() {
  for folder in $folders; do
    if [ -e "$folder/50-eagle.toml" ]; then
      return 0
    fi
  done
  return 1
}

# Files of containerd that would still keep it from its built-in store.
other_mentions() {
  for file in "$root/etc/containerd/config.toml" "$rancher"/*/agent/etc/containerd/config.toml \
    "$root"/etc/containerd/conf.d/*.toml "$rancher"/*/agent/etc/containerd/config*.toml.d/*.toml; do
    if [ -e "$file" ] &&
      sed 's/#.*//' "$file" | grep -q 'io\.containerd\.content\.v1\.content\|proxy_plugins\.eagle'; then
      echo "$file"
    fi
  done
}

# From systemd 254 on a unit is "failed" for a moment before each restart; ten of its restarts later
# it is for good.
sleep "${EAGLE_SETTLE_SECONDS:-2}"
if ! systemctl is-failed --quiet eagle-plugin.service eagle-plugin.socket; then
  say "the plugin and its socket are running or being restarted; nothing to do"
  exit 0
fi
if ! drop_in_is_there; then
  say "Eagle's drop-in is not in use; nothing to do"
  exit 0
fi

mkdir -p "$root/etc/eagle"
printf '%s eagle-plugin failed for good (%s); see journalctl -u eagle-plugin\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
  "$(systemctl show -p Result --value eagle-plugin.service || echo unknown)" > "$disabled.new"
mv "$disabled.new" "$disabled"
sh "$guard"
mentions="$(other_mentions)"
if drop_in_is_there || [ -n "$mentions" ]; then
  # Without its drop-in, but with such a file, containerd would have no store at all.
  rm -f "$disabled"
  sh "$guard" || true
  say "cannot take Eagle out of containerd's configuration; still mentioned in: ${mentions:-50-eagle.toml}"
  exit 1
fi
systemctl stop eagle-plugin.socket eagle-plugin.service
# Does nothing to those that do not run: their next start finds the built-in store.
for unit in containerd k3s k3s-agent rke2-server rke2-agent; do
  systemctl try-restart "$unit.service"
done
say "containerd has its built-in store again; $(cat "$disabled")"
