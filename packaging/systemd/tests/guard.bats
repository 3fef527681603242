#!/usr/bin/env bats

load host

guard() {
  run sh "$here/guard.sh"
  [ "$status" -eq 0 ]
}

@test "with everything in place the drop-in stays, and nothing is said" {
  guard
  [ -z "$output" ]
  in_use
}

@test "a missing program takes the drop-in out of containerd's sight" {
  rm "$program"
  guard
  [[ "$output" == *"/usr/local/bin/eagle-plugin is missing"* ]]
  out_of_use
  # What containerd's import matches.
  run sh -c "ls $confd/*.toml"
  [ "$status" -ne 0 ]
}

@test "a program that cannot be executed is a missing one" {
  chmod -x "$program"
  guard
  out_of_use
}

@test "a folder in the program's place is no program" {
  rm "$program"
  mkdir "$program"
  guard
  out_of_use
}

@test "the program's path is the unit's own" {
  mkdir -p "$EAGLE_ROOT/opt/eagle"
  mv "$program" "$EAGLE_ROOT/opt/eagle/plugin"
  sed -i 's#^ExecStart=.*#ExecStart=-/opt/eagle/plugin --config /x#' "$units/eagle-plugin.service"
  guard
  in_use
}

@test "a missing unit takes the drop-in away" {
  rm "$units/eagle-plugin.socket"
  guard
  [[ "$output" == *"eagle-plugin.socket is not installed"* ]]
  out_of_use
}

@test "units of a package count" {
  mkdir -p "$EAGLE_ROOT/usr/lib/systemd/system"
  mv "$units"/eagle-plugin.* "$EAGLE_ROOT/usr/lib/systemd/system"
  guard
  in_use
}

@test "the mark takes the drop-in away and tells why" {
  mkdir -p "$EAGLE_ROOT/etc/eagle"
  echo "on purpose" > "$disabled"
  guard
  [[ "$output" == *"on purpose"* ]]
  out_of_use
}

@test "once the reason has gone the drop-in is back, byte for byte" {
  rm "$program"
  guard
  out_of_use
  printf '#!/bin/sh\n' > "$program"
  chmod +x "$program"
  guard
  in_use
  cmp "$drop_in" "$BATS_TEST_TMPDIR/original.toml"
}

@test "a second run does nothing" {
  rm "$program"
  guard
  guard
  [ -z "$output" ]
  out_of_use
}

@test "a newer drop-in is not overwritten by the one that was put away" {
  cp "$drop_in" "$drop_in.off"
  echo "# newer" >> "$drop_in"
  guard
  grep -q newer "$drop_in"
}

@test "without a drop-in it has nothing to do" {
  rm "$drop_in" "$program"
  guard
  [ -z "$output" ]
  [ ! -e "$drop_in.off" ]
}

@test "k3s and rke2 are looked after, too" {
  for folder in k3s/agent/etc/containerd/config.toml.d rke2/agent/etc/containerd/config-v3.toml.d; do
    mkdir -p "$EAGLE_ROOT/var/lib/rancher/$folder"
    cp "$drop_in" "$EAGLE_ROOT/var/lib/rancher/$folder"
  done
  rm "$program"
  guard
  [ -z "$(find "$EAGLE_ROOT" -name 50-eagle.toml)" ]
  [ "$(find "$EAGLE_ROOT" -name 50-eagle.toml.off | wc -l)" -eq 3 ]
}

@test "it needs no more than a shell and what every host has" {
  rm "$program"
  mkdir "$BATS_TEST_TMPDIR/few"
  for tool in sed head tail mv; do
    ln -s "$(command -v "$tool")" "$BATS_TEST_TMPDIR/few/$tool"
  done
  shell="$(command -v dash)"
  PATH="$BATS_TEST_TMPDIR/few" "$shell" "$here/guard.sh"
  out_of_use
}
