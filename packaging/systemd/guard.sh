#!/bin/sh
# Runs before each start of containerd (containerd.service.d/50-eagle.conf). A containerd whose store
# is gone makes every pull wait for ever; so when Eagle cannot run here, its drop-in is renamed out of
# containerd's sight, and containerd starts with its built-in store, on the same folder with the same
# images. When the reason has gone, the drop-in comes back. Does nothing else, and nothing twice.
#
# Lives beside the configuration that it guards, so that it is not lost with what it looks for.
set -eu

# Another root is for tests only.
root="${EAGLE_ROOT:-}"
disabled="$root/etc/eagle/disabled"
rancher=/var/lib/rancher

find_unit() {
  for folder in /etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system \
    /lib/systemd/system; do
    if [ -e "$root$folder/$1" ]; then
      echo "$root$folder/$1"
      return
    fi
  done
}

# Why Eagle has to stand aside; empty when it need not.
reason() {
  if [ -e "$disabled" ]; then
    echo "/etc/eagle/disabled is there: $(head -n 1 "$disabled")"
    return
  fi
  for unit in eagle-plugin.socket eagle-plugin.service; do
    if [ -z "$(find_unit "$unit")" ]; then
      echo "$unit is not installed"
      return
    fi
  done
  program="$(sed -n 's/^ExecStart=[-@:+!]*\([^ ]*\).*/\1/p' "$(find_unit eagle-plugin.service)" |
    tail -n 1)"
  if [ ! -f "$root$program" ] || [ ! -x "$root$program" ]; then
    echo "$program is missing"
  fi
}

why="$(reason)"
for folder in /etc/containerd/conf.d \
  "$rancher/k3s/agent/etc/containerd/config.toml.d" \
  "$rancher/k3s/agent/etc/containerd/config-v3.toml.d" \
  "$rancher/rke2/agent/etc/containerd/config.toml.d" \
  "$rancher/rke2/agent/etc/containerd/config-v3.toml.d"; do
  drop_in="$root$folder/50-eagle.toml"
  if [ -n "$why" ] && [ -e "$drop_in" ]; then
    mv -f "$drop_in" "$drop_in.off"
    echo "eagle-guard: $why; $folder/50-eagle.toml is out of use, containerd has its built-in store"
  elif [ -z "$why" ] && [ -e "$drop_in.off" ] && [ ! -e "$drop_in" ]; then
    mv "$drop_in.off" "$drop_in"
    echo "eagle-guard: $folder/50-eagle.toml is in use again"
  fi
done
