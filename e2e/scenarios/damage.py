"""Bytes that are wrong: in the cache, or from a registry that lies. They never reach an image."""

import pathlib
import sys

from lab.process import LabError, Process
from lab.registry import NAME

from .case import REPOSITORY, LabCase

NEEDS_LAB = True

E2E = pathlib.Path(__file__).resolve().parent.parent


class CorruptCacheTest(LabCase):
    def test_corrupt_cached_file_is_refused_and_fetched_again(self):
        node, = self.start_lab()
        node.pull(self.ref)
        node.remove(self.ref)
        layer = self.image.layers[2]
        cached = node.cache_path(layer.digest)
        with open(cached, "r+b") as data:
            data.seek(layer.size // 2)
            byte = data.read(1)
            data.seek(layer.size // 2)
            data.write(bytes([byte[0] ^ 0xFF]))
        self.assertNotEqual(self.hash_of(cached), layer.digest)

        node.pull(self.ref)
        self.assert_whole(node)
        self.assertGreater(node.plugin_metrics().sum("eagle_plugin_verify_failures_total"), 0)
        if cached.exists():
            self.assertEqual(self.hash_of(cached), layer.digest)
        got = {request.blob for request in self.layer_gets(node)}
        self.assertLessEqual(got, {layer.digest}, "whole layers came from the registry")

        # Nor does the damage come back.
        node.remove(self.ref)
        node.pull(self.ref)
        self.assert_whole(node)


class LyingRegistryTest(LabCase):
    def start_with_liar(self, lie, nodes_too):
        """The seeders' origin lies about the second layer; the nodes' registry too, or not."""
        liar = self.lab.network.add_host("liar")
        self.layer = self.image.layers[1]
        url = f"http://{liar.address}:5000"
        argv = [sys.executable, "-m", "lab.lying_registry", "--listen", f"{liar.address}:5000",
                "--upstream", self.lab.registry.url, "--digest", self.layer.digest, "--lie", lie]
        log = self.lab.logs / "liar.log"
        process = Process("liar", argv, log, liar, {"PYTHONPATH": E2E}).start()
        self.addCleanup(process.kill)
        if nodes_too:
            self.lab.registry_url = url
        node, = self.start_lab(services={"origins": {NAME: url}})
        process.wait_ready_url(url + "/v2/")
        return node

    def assert_seeders_were_lied_to(self):
        log = (self.lab.logs / "liar.log").read_text()
        seeders = {seeder.host.address for seeder in self.lab.seeders}
        asked = f"GET /v2/{REPOSITORY}/blobs/{self.layer.digest}"
        clients = {line.split()[0] for line in log.splitlines() if asked in line}
        self.assertTrue(clients & seeders, log)

    def check_honest_path_is_taken(self, lie):
        node = self.start_with_liar(lie, nodes_too=False)
        node.pull(self.ref)
        self.assert_whole(node)
        by_node = [request.blob for request in self.layer_gets(node)]
        self.assertEqual(by_node, [self.layer.digest])
        self.assert_seeders_were_lied_to()

    def test_wrong_bytes_at_seeders_origin(self):
        self.check_honest_path_is_taken("wrong")

    def test_truncated_layer_at_seeders_origin(self):
        self.check_honest_path_is_taken("short")

    def test_too_long_layer_at_seeders_origin(self):
        self.check_honest_path_is_taken("long")

    def check_pull_fails_cleanly(self, lie):
        node = self.start_with_liar(lie, nodes_too=True)
        with self.assertRaises(LabError):
            node.pull(self.ref, seconds=90)
        self.assertFalse(node.blob_path(self.layer.digest).exists())
        self.assertEqual(node.content_tool("info", self.layer.digest).returncode, 3)
        for part in (node.plugin, node.sidecar, *(s.process for s in self.lab.seeders)):
            self.assertTrue(part.alive(), part.name)
        self.assert_seeders_were_lied_to()

    def test_wrong_bytes_for_everybody(self):
        self.check_pull_fails_cleanly("wrong")

    def test_truncated_layer_for_everybody(self):
        self.check_pull_fails_cleanly("short")
