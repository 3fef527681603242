"""kill -9 in the middle of a pull."""

from lab import image
from lab.process import wait_until

from . import case
from .case import LabCase, wait_pulls

NEEDS_LAB = True


class CrashTest(LabCase):
    def start_slow_pull(self, via):
        """A pull that takes about five seconds, once a third of it is there."""
        self.image = image.small_image(case.options.images, "crash", layer_size=10 * image.MIB)
        node, = self.start_lab(link={"download_mbit": 50})
        pull = node.start_pull(self.ref, via=via)
        wait_until(lambda: node.received_bytes() > self.image.layer_bytes / 3, "the first third")
        self.assertIsNone(pull.poll())
        return node, pull

    def check_whole(self, node, via):
        self.assert_whole(node, "k8s.io" if via == "cri" else "default")
        print(f"{len(self.layer_gets(node))} of {len(self.image.layers)} layers from the registry")

    def check_sidecar(self, via):
        node, pull = self.start_slow_pull(via)
        wait_until(lambda: node.received_bytes() > self.image.layer_bytes * 0.6, "the greater part")
        node.sidecar.kill()
        node.sidecar.start()
        self.assertEqual(wait_pulls(pull), [])
        self.check_whole(node, via)
        # The layers go on where they were, up to what came in the last second.
        self.assert_no_layer_gets_by(node)
        self.assertLess(node.received_bytes(), 0.75 * self.image.layer_bytes)

    def test_sidecar_killed_during_ctr_pull(self):
        self.check_sidecar("ctr")

    def test_sidecar_killed_during_cri_pull(self):
        self.check_sidecar("cri")

    def check_plugin(self, via):
        node, pull = self.start_slow_pull(via)
        node.plugin.kill()
        node.plugin.start()
        failures = wait_pulls(pull)
        node.wait_ready()
        # A pull inside of containerd passes the lost connection on and is tried again by who asked
        # for it, as the kubelet does; ctr 1.6 tries again by itself.
        if failures:
            self.assertRegex(failures[0], "unavailable|EOF|closing")
            for layer in self.image.layers:
                self.assertIn(node.content_tool("info", layer.digest).returncode, (0, 3))
            node.pull(self.ref, via=via)
        self.check_whole(node, via)
        self.assert_no_layer_gets_by(node)
        self.assertEqual(list((node.content / "ingest").iterdir()), [])

    def test_plugin_killed_during_ctr_pull(self):
        self.check_plugin("ctr")

    def test_plugin_killed_during_cri_pull(self):
        self.check_plugin("cri")

    def check_cancelled(self, via):
        node, pull = self.start_slow_pull(via)
        wait_until(lambda: node.received_bytes() > self.image.layer_bytes / 2, "half of it")
        pull.kill()
        # Nobody waits, and after a few seconds nothing moves any more.
        wait_until(lambda: node.plugin_metrics().sum("eagle_plugin_waiting_layers") == 0,
                   "the plugin to let go")
        wait_until(lambda: node.sidecar_metrics().sum("eagle_sidecar_transfers",
                                                      state="active") == 0, "the transfers to end")
        self.assertLess(node.received_bytes(), 1.1 * self.image.layer_bytes)
        node.pull(self.ref, via=via)
        self.check_whole(node, via)
        self.assert_no_layer_gets_by(node)
        self.assert_each_layer_left_registry_once()
        # The end of a download may ask two peers for the same block.
        self.assertLess(node.received_bytes(), 1.25 * self.image.layer_bytes)

    def test_cancelled_ctr_pull_is_resumed(self):
        self.check_cancelled("ctr")

    def test_cancelled_cri_pull_is_resumed(self):
        self.check_cancelled("cri")

    def test_restarted_sidecar_seeds_what_it_had(self):
        first, second = self.start_lab(nodes=2)
        first.pull(self.ref)
        first.sidecar.kill()
        first.sidecar.start()
        first.wait_ready()
        first.remove(self.ref)
        first.pull(self.ref)
        self.assert_whole(first)
        self.assertEqual(first.received_bytes(), 0)
        # Seeders that crawl: what the second node gets quickly it gets from the first.
        for seeder in self.lab.seeders:
            self.lab.network.shape(seeder.host, upload_mbit=4)
        second.pull(self.ref)
        self.assert_whole(second)
        self.assert_no_layer_gets_by(first, second)
        self.assertGreater(second.received_from()[0], self.image.layer_bytes / 2)

    def test_restarted_seeders_seed_what_they_had(self):
        first, second = self.start_lab(nodes=2)
        first.pull(self.ref)
        first.sidecar.kill()
        for seeder in self.lab.seeders:
            seeder.process.kill()
            seeder.process.start()
            seeder.wait_ready()
        second.pull(self.ref)
        self.assert_whole(second)
        self.assert_no_layer_gets_by(second)
        self.assert_each_layer_left_registry_once()
