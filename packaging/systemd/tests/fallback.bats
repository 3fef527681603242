#!/usr/bin/env bats

load host

fallback() {
  run sh "$here/fallback.sh"
}

@test "a plugin that runs or is being restarted is left alone" {
  fallback
  [ "$status" -eq 0 ]
  [[ "$output" == *"nothing to do"* ]]
  in_use
  [ ! -e "$disabled" ]
  [ ! -s "$calls" ]
}

@test "a plugin that has failed for good: built-in store, plugin stopped first, one restart" {
  touch "$failed"
  fallback
  [ "$status" -eq 0 ]
  out_of_use
  grep -q "start-limit-hit" "$disabled"
  [ "$(head -n 1 "$calls")" = "stop eagle-plugin.socket eagle-plugin.service" ]
  [ "$(grep -c "try-restart containerd.service" "$calls")" -eq 1 ]
  # Never one that would start something which does not run.
  run grep -E "^(re)?start " "$calls"
  [ "$status" -ne 0 ]
}

@test "a second run restarts nothing" {
  touch "$failed"
  fallback
  : > "$calls"
  fallback
  [ "$status" -eq 0 ]
  [ ! -s "$calls" ]
}

@test "when the guard has been there before, containerd is not restarted" {
  rm "$program"
  sh "$here/guard.sh"
  touch "$failed"
  fallback
  [ "$status" -eq 0 ]
  [ ! -s "$calls" ]
}

@test "a store that is configured elsewhere is not half taken away" {
  touch "$failed"
  cat "$drop_in" >> "$EAGLE_ROOT/etc/containerd/config.toml"
  fallback
  [ "$status" -eq 1 ]
  [[ "$output" == *"/etc/containerd/config.toml"* ]]
  in_use
  [ ! -e "$disabled" ]
  [ ! -s "$calls" ]
}

@test "a comment about Eagle is no configuration" {
  touch "$failed"
  echo '# disabled_plugins = ["io.containerd.content.v1.content"]' >> \
    "$EAGLE_ROOT/etc/containerd/config.toml"
  fallback
  [ "$status" -eq 0 ]
  out_of_use
}

@test "taking the mark away brings Eagle back at containerd's next start" {
  touch "$failed"
  fallback
  rm "$disabled"
  sh "$here/guard.sh"
  in_use
  cmp "$drop_in" "$BATS_TEST_TMPDIR/original.toml"
}
