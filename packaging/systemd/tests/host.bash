# A host in a folder for the tests of the scripts: systemctl is a stand-in that writes down what it is
# asked and answers as the test says.

setup() {
  here="$BATS_TEST_DIRNAME/.."
  export EAGLE_ROOT="$BATS_TEST_TMPDIR/host" EAGLE_SETTLE_SECONDS=0
  export EAGLE_GUARD="$here/guard.sh"
  confd="$EAGLE_ROOT/etc/containerd/conf.d"
  drop_in="$confd/50-eagle.toml"
  units="$EAGLE_ROOT/etc/systemd/system"
  program="$EAGLE_ROOT/usr/local/bin/eagle-plugin"
  disabled="$EAGLE_ROOT/etc/eagle/disabled"
  mkdir -p "$confd" "$units" "$EAGLE_ROOT/usr/local/bin" "$BATS_TEST_TMPDIR/bin"
  cp "$here/eagle-plugin.socket" "$here/eagle-plugin.service" "$units"
  printf 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n' \
    > "$EAGLE_ROOT/etc/containerd/config.toml"
  cp "$here/../../cli/testdata/1.6.toml" "$drop_in"
  cp "$drop_in" "$BATS_TEST_TMPDIR/original.toml"
  printf '#!/bin/sh\n' > "$program"
  chmod +x "$program"

  calls="$BATS_TEST_TMPDIR/calls"
  : > "$calls"
  failed="$BATS_TEST_TMPDIR/failed"
  cat > "$BATS_TEST_TMPDIR/bin/systemctl" <<SCRIPT
#!/bin/sh
case "\$1" in
is-failed) [ -e "$failed" ] ;;
show) echo start-limit-hit ;;
*) echo "\$*" >> "$calls" ;;
esac
SCRIPT
  chmod +x "$BATS_TEST_TMPDIR/bin/systemctl"
  PATH="$BATS_TEST_TMPDIR/bin:$PATH"
}

in_use() {
  [ -e "$drop_in" ] && [ ! -e "$drop_in.off" ]
}

out_of_use() {
  [ ! -e "$drop_in" ] && [ -e "$drop_in.off" ]
}
