"""Images that are in the swarm before a node asks: pushes that the registry tells of, eaglectl."""

import json
import subprocess

from lab.process import wait_until

from .case import LabCase

NEEDS_LAB = True

NOTIFICATIONS_PORT = 61014
ADMIN_PORT = 61015
SECRET = "Bearer of-the-lab"

_ENDPOINT = """\
    - name: {name}
      url: http://{address}:{port}/registry/notifications
      headers:
        Authorization: ["{secret}"]
      timeout: 2s
      threshold: 3
      backoff: 1s
"""


class PreheatCase(LabCase):
    def start_preheating_lab(self):
        """The usual lab, whose seeders are open to the registry and to operators; one node."""
        secret = self.lab.folder / "notification-secret"
        secret.write_text(SECRET + "\n")
        self.lab.add_services(seeder_overrides={
            "notifications": {"listen": f"0.0.0.0:{NOTIFICATIONS_PORT}",
                              "secret_file": str(secret)},
            "admin_listen": f"0.0.0.0:{ADMIN_PORT}",
        })
        # Where the registry tells of pushes.
        endpoints = [_ENDPOINT.format(name=seeder.host.name, address=seeder.host.address,
                                      port=NOTIFICATIONS_PORT, secret=SECRET)
                     for seeder in self.lab.seeders]
        with open(self.lab.folder / "registry/config.yml", "a", encoding="utf-8") as config:
            config.write("notifications:\n  endpoints:\n" + "".join(endpoints))
        node = self.lab.add_node("node1", self.containerd)
        self.lab.start()
        # The registry tells the host that was pushed to, which is what images are called by.
        self.lab.registry.url = self.lab.registry_url
        return node

    def wait_preheated(self, images):
        """Both seeders have heard of so many images and have all of their layers."""
        def check():
            return all(seeder.metrics().sum("eagle_seeder_preheats_total", result="ok") >= images
                       for seeder in self.lab.seeders)
        wait_until(check, "the layers in the swarm", seconds=60)

    def eaglectl(self, *args):
        """Runs eaglectl against the first seeder; returns the finished process."""
        address = f"{self.lab.seeders[0].host.address}:{ADMIN_PORT}"
        return subprocess.run([self.lab.program("eaglectl"), *args, "--seeder", address],
                              capture_output=True, text=True, timeout=60, check=False)

    def listed(self, digest):
        """What the first seeder says of a layer."""
        done = self.eaglectl("seeder", "ls", digest, "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        layers = json.loads(done.stdout)["layers"]
        return layers[0] if layers else {"complete": False}


class PushTest(PreheatCase):
    def test_pushed_image_is_in_the_swarm_before_a_node_asks(self):
        node = self.start_preheating_lab()
        ref = self.push(self.image)
        self.wait_preheated(1)
        for seeder in self.lab.seeders:
            wait_until(lambda one=seeder: one.metrics().sum("eagle_seeder_torrents") ==
                       len(self.image.layers), "a torrent of each layer")
        self.assert_each_layer_left_registry_once()
        node.pull(ref)
        self.assert_whole(node)
        self.assertEqual(node.p2p_bytes(), self.image.layer_bytes)
        self.assertEqual(node.fallback_layers(), 0)
        self.assert_no_layer_gets_by(node)
        self.assert_each_layer_left_registry_once()

    def test_eaglectl_preheats_pins_and_lists(self):
        self.start_preheating_lab()
        self.push(self.image)
        self.wait_preheated(1)
        done = self.eaglectl("preheat", self.lab.ref("team/app"), "--wait", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        last = json.loads(done.stdout)
        self.assertEqual(last["state"], "DONE")
        self.assertEqual(int(last["layers_done"]), len(self.image.layers))
        self.assertEqual(int(last["bytes_done"]), self.image.layer_bytes)
        self.assert_each_layer_left_registry_once()

        # A seeder that does not own a layer has it from the swarm a little later.
        digest = self.image.layer_digests[0]
        wait_until(lambda: self.listed(digest)["complete"], "the layer on this seeder's own disk")
        self.assertEqual(self.eaglectl("seeder", "pin", digest).returncode, 0)
        self.assertIn("unpin it first", self.eaglectl("seeder", "rm", digest).stderr)
        self.assertTrue(self.listed(digest)["pinned"])
        self.assertEqual(self.eaglectl("seeder", "unpin", digest).returncode, 0)
        self.assertEqual(self.eaglectl("seeder", "rm", digest).returncode, 0)
        self.assertIn("stored:", self.eaglectl("seeder", "status").stdout)
        gone = self.eaglectl("preheat", self.lab.ref("team/app", "none"), "--wait")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("no such manifest", gone.stderr)
