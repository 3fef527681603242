"""Parts of Eagle are dead or silent: the image arrives all the same, digest for digest."""

from lab.process import wait_until

from .case import LabCase

NEEDS_LAB = True

# Far beyond what the design allows (0.2 to 2 s and the pull itself), for a machine that is shared;
# the benchmarks measure what it really costs.
QUICK_SECONDS = 15


class FallbackTest(LabCase):
    def pull_everywhere(self, node):
        """Pulls through both paths. The second finds the layers in the store."""
        node.pull(self.ref, seconds=QUICK_SECONDS)
        print(f"pulled in {node.pull_seconds:.1f} s")
        node.pull(self.ref, via="cri", seconds=QUICK_SECONDS)
        self.assert_whole(node)
        self.assert_whole(node, "k8s.io")

    def assert_all_from_registry(self, node):
        gets = sorted(request.blob for request in self.layer_gets(node))
        self.assertEqual(gets, sorted(self.image.layer_digests))
        self.assertEqual(node.fallback_layers(), len(self.image.layers))
        self.assertEqual(node.p2p_bytes(), 0)

    def test_sidecar_dead(self):
        node, = self.start_lab()
        node.sidecar.kill()
        self.pull_everywhere(node)
        self.assert_all_from_registry(node)

    def test_sidecar_hung(self):
        node, = self.start_lab()
        node.sidecar.freeze()
        self.addCleanup(node.sidecar.thaw)
        self.pull_everywhere(node)
        self.assert_all_from_registry(node)
        node.sidecar.thaw()

    def test_seeders_dead(self):
        node, = self.start_lab()
        for seeder in self.lab.seeders:
            seeder.process.kill()
        self.pull_everywhere(node)
        self.assert_all_from_registry(node)

    def test_seeders_unreachable(self):
        node, = self.start_lab()
        for seeder in self.lab.seeders:
            self.lab.network.cut(seeder.host)
        self.pull_everywhere(node)
        self.assert_all_from_registry(node)

    def test_one_seeder_dead_is_not_noticed(self):
        node, = self.start_lab()
        self.lab.seeders[0].process.kill()
        self.pull_everywhere(node)
        self.assert_no_layer_gets_by(node)
        self.assert_each_layer_left_registry_once()

    def test_trackers_dead(self):
        nodes = self.start_lab(nodes=2)
        for tracker in self.lab.trackers:
            tracker.process.kill()
        for node in nodes:
            self.pull_everywhere(node)
        # Seeders tell nodes their addresses, so P2P may well work; either way each layer came once.
        for node in nodes:
            gets = self.layer_gets(node)
            print(f"trackers dead: {node.name} took {len(gets)} of {len(self.image.layers)} layers "
                  "from the registry")
            self.assertEqual(node.p2p_bytes() + sum(get.body_bytes for get in gets),
                             self.image.layer_bytes)

    def check_used_again(self, node):
        """Pulls the image again and again without a pause, until nothing is from the registry."""

        def pull_without_registry():
            before = len(self.layer_gets(node))
            node.pull(self.ref)
            if len(self.layer_gets(node)) == before:
                return True
            node.remove(self.ref)
            return False

        node.remove(self.ref)
        wait_until(pull_without_registry, "a pull through the sidecar", seconds=30)
        self.assert_whole(node)

    def test_sidecar_that_comes_back_is_used_again(self):
        node, = self.start_lab()
        node.sidecar.kill()
        node.pull(self.ref, seconds=QUICK_SECONDS)
        node.sidecar.start()
        node.wait_ready()
        self.check_used_again(node)

    def test_sidecar_that_wakes_up_is_used_again(self):
        node, = self.start_lab()
        node.sidecar.freeze()
        self.addCleanup(node.sidecar.thaw)
        node.pull(self.ref, seconds=QUICK_SECONDS)
        node.sidecar.thaw()
        self.check_used_again(node)
