#!/usr/bin/env bats
# Does what docs/install.md says, word for word, on this machine's own files seen through a layer that
# vanishes with the test. systemctl and ctr are stand-ins: there is no systemd here to talk to.

setup() {
  repository="$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)"
  [ -x "$EAGLE_BIN_DIR/eaglectl" ] || skip "EAGLE_BIN_DIR has no eaglectl"
  [ "$(id -u)" -eq 0 ] || skip "mounts need root"
  tree="$BATS_TEST_TMPDIR/tree"
  mkdir -p "$tree/build/release" "$BATS_TEST_TMPDIR/stubs"
  for entry in plugin sidecar packaging docs; do
    ln -s "$repository/$entry" "$tree/$entry"
  done
  ln -s "$EAGLE_BIN_DIR" "$tree/build/release/bin"
  for program in systemctl ctr; do
    printf '#!/bin/sh\necho "%s $*" >> "%s/asked"\necho eagle\n' "$program" "$BATS_TEST_TMPDIR" \
      > "$BATS_TEST_TMPDIR/stubs/$program"
    chmod +x "$BATS_TEST_TMPDIR/stubs/$program"
  done
}

# The shell commands of a section of the document. Debian's containerd is 1.6.
commands() {
  awk -v section="## $1" 'index($0, "## ") == 1 { inside = index($0, section) == 1 }
    inside && /^```/ { code = !code; next } inside && code' "$repository/docs/install.md" |
    sed 's/--for 2\.x/--for 1.6/; s/eaglectl doctor\( *#.*\)*$/eaglectl doctor --offline || [ $? = 1 ]/
         s/eaglectl doctor \&\&/{ eaglectl doctor --offline || [ $? = 1 ]; } \&\&/'
}

# Runs a script with /etc, /usr/local and /var/lib being this machine's, and every change lost.
on_a_host() {
  cat > "$BATS_TEST_TMPDIR/host.sh" <<SCRIPT
set -eu
for folder in /etc /usr/local /var/lib; do
  layer="$BATS_TEST_TMPDIR/layers\$folder"
  mkdir -p "\$layer"
  mount -t tmpfs tmpfs "\$layer"
  mkdir "\$layer/upper" "\$layer/work"
  mount -t overlay overlay -o "lowerdir=\$folder,upperdir=\$layer/upper,workdir=\$layer/work" "\$folder"
done
rm -rf /etc/containerd
mkdir -p /etc/containerd
printf 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n' > /etc/containerd/config.toml
cd "$tree"
$1
SCRIPT
  PATH="$BATS_TEST_TMPDIR/stubs:/usr/local/bin:$PATH" run unshare -m sh "$BATS_TEST_TMPDIR/host.sh"
  echo "$output"
}

@test "the commands install a node that doctor has no objection to" {
  on_a_host "$(commands 1)
$(commands 2)
systemd-analyze verify --man=no eagle-plugin.service eagle-plugin.socket eagle-fallback.service
ls /etc/eagle
cat /etc/containerd/conf.d/50-eagle.toml"
  [ "$status" -eq 0 ]
  [[ "$output" != *FAIL* ]]
  [[ "$output" == *"OK    units"* ]]
  [[ "$output" == *"OK    content-store"* ]]
  [[ "$output" == *"taken by containerd config dump"* ]]
  grep -q "systemctl enable --now eagle-plugin.socket eagle-plugin eagle-sidecar" \
    "$BATS_TEST_TMPDIR/asked"
  grep -q "systemctl restart containerd" "$BATS_TEST_TMPDIR/asked"
}

@test "the commands that undo it leave nothing of Eagle" {
  on_a_host "$(commands 1)
$(commands 2)
$(commands 5)
echo "left:"
find /etc /usr/local /var/lib/containerd /var/lib/eagle -iname '*eagle*' 2>/dev/null || true"
  [ "$status" -eq 0 ]
  [ "${lines[-1]}" = "left:" ]
}
