"""One image, two nodes: every layer leaves the registry once, whatever path containerd takes."""

from lab import image

from .case import LabCase, wait_pulls

NEEDS_LAB = True


class PullTest(LabCase):
    def check(self, via, namespace):
        nodes = self.start_lab(nodes=2)
        pulls = [node.start_pull(self.ref, via=via) for node in nodes]
        self.assertEqual(wait_pulls(*pulls), [])
        for node in nodes:
            self.assert_whole(node, namespace)
            self.assertEqual(node.p2p_bytes(), self.image.layer_bytes)
            self.assertEqual(node.fallback_layers(), 0)
            if self.containerd.unpacks_with_plugin:
                self.assertEqual(node.applied_layers(), len(self.image.layers))
        self.assert_no_layer_gets_by(*nodes)
        self.assert_each_layer_left_registry_once()
        return nodes

    def test_ctr_pull_takes_no_layer_from_registry_and_runs(self):
        nodes = self.check("ctr", "default")
        self.assertEqual(nodes[1].run_container(self.ref, ["/bin/echo", "it", "runs"]).strip(),
                         "it runs")

    def test_cri_pull_takes_no_layer_from_registry(self):
        nodes = self.check("cri", "k8s.io")
        self.assertIn(self.ref, nodes[0].cri("list"))


class TwoNamespacesTest(LabCase):
    def test_layer_pulled_in_two_namespaces_moves_once(self):
        # Slow enough for the two pulls to overlap.
        node, = self.start_lab(link={"download_mbit": 80})
        pulls = [node.start_pull(self.ref, namespace) for namespace in ("default", "other")]
        self.assertEqual(wait_pulls(*pulls), [])
        for namespace in ("default", "other"):
            self.assert_whole(node, namespace)
        self.assert_no_layer_gets_by(node)
        self.assert_each_layer_left_registry_once()
        # The end of a download may ask two peers for the same block; a second move would double it.
        self.assertLess(node.received_bytes(), 1.5 * self.image.layer_bytes)


class PullAgainTest(LabCase):
    def test_image_removed_and_pulled_again_moves_no_layer_bytes(self):
        node, = self.start_lab()
        node.pull(self.ref)
        before = node.received_bytes()
        node.remove(self.ref)
        self.assertEqual(node.blobs(), set())
        self.assertFalse(node.blob_path(self.image.layer_digests[0]).exists())
        node.pull(self.ref)
        self.assert_whole(node)
        self.assertEqual(node.received_bytes(), before)
        self.assert_no_layer_gets_by(node)
        self.assert_each_layer_left_registry_once()


class LimitTest(LabCase):
    RATE = 4 * image.MIB

    def check_limit_holds(self, **lab_options):
        """A limit bounds the time from below, however fast the machine is."""
        node, = self.start_lab(**lab_options)
        node.pull(self.ref)
        self.assert_no_layer_gets_by(node)
        self.assertGreater(node.pull_seconds, 0.8 * self.image.layer_bytes / self.RATE)

    def test_download_limit_holds_over_all_layers(self):
        self.check_limit_holds(
            sidecar_overrides={"bittorrent": {"download_limit": f"{self.RATE}B/s"}})

    def test_upload_limit_of_seeders_holds(self):
        self.check_limit_holds(services={
            "seeders": 1, "seeder_overrides": {"bittorrent": {"upload_limit": f"{self.RATE}B/s"}}})
