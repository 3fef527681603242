#!/usr/bin/env bats

setup() {
  here="$BATS_TEST_DIRNAME/.."
}

# A root with the units where docs/install.md puts them, systemd's own, a containerd and the programs
# that they start.
make_root() {
  root="$BATS_TEST_TMPDIR/root"
  mkdir -p "$root/etc/systemd/system/containerd.service.d" "$root/usr/lib/systemd" \
    "$root/usr/local/bin" "$root/bin" "$root/etc/eagle"
  cp -r /usr/lib/systemd/system "$root/usr/lib/systemd/system"
  cp "$here"/*.service "$here"/*.socket "$root/etc/systemd/system"
  cp "$here/containerd.service.d/50-eagle.conf" "$root/etc/systemd/system/containerd.service.d"
  printf '[Service]\nExecStart=/usr/local/bin/containerd\n' \
    > "$root/etc/systemd/system/containerd.service"
  for program in usr/local/bin/containerd usr/local/bin/eagle-plugin usr/local/bin/eaglectl \
    usr/local/bin/eagle-sidecar bin/sh; do
    printf '#!/bin/sh\n' > "$root/$program"
    chmod +x "$root/$program"
  done
}

@test "systemd finds nothing wrong with the units" {
  make_root
  for unit in eagle-plugin.socket eagle-plugin.service eagle-fallback.service \
    eagle-sidecar.service containerd.service; do
    run systemd-analyze verify --man=no --root="$root" "$unit"
    echo "$unit: $output"
    [ "$status" -eq 0 ]
    [[ "$output" != *eagle* ]]
    [[ "$output" != *containerd* ]]
  done
}

@test "a mistake in a unit would be found" {
  make_root
  sed -i 's/^Restart=always/Restart=allways/' "$root/etc/systemd/system/eagle-plugin.service"
  run systemd-analyze verify --man=no --root="$root" eagle-plugin.service
  [[ "$output" == *eagle-plugin.service* ]]
}

@test "the plugin's unit is confined as far as unpacking lets it be" {
  systemd-analyze security --offline=true --threshold=36 "$here/eagle-plugin.service"
}

@test "what would break unpacking is not in the plugin's unit" {
  # Set-user-ID files and device nodes are what layers contain.
  run grep -E '^(RestrictSUIDSGID|PrivateDevices|PrivateUsers)=(yes|true|on)' \
    "$here/eagle-plugin.service"
  [ "$status" -eq 1 ]
}

@test "cache and store are written through one mount" {
  run grep -c '^ReadWritePaths=' "$here/eagle-plugin.service"
  [ "$output" = 1 ]
  grep -qx 'ReadWritePaths=/var/lib/containerd' "$here/eagle-plugin.service"
}

@test "the scripts pass shellcheck" {
  shellcheck "$here/guard.sh" "$here/fallback.sh"
}
