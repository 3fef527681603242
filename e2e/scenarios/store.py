"""The content store itself: it never writes into bytes that somebody else shares, and no input
upsets it. How it takes over the built-in store's folder and gives it back is in host.py."""

import hashlib
import os

from lab import image

from . import case
from .case import LabCase

NEEDS_LAB = True


class LinkedIngestTest(LabCase):
    def test_write_into_linked_ingest_leaves_cache_and_blobs_untouched(self):
        node, = self.start_lab()
        node.pull(self.ref)
        layer = self.image.layers[2]
        cached, blob = node.cache_path(layer.digest), node.blob_path(layer.digest)
        self.assertEqual(os.stat(cached).st_ino, os.stat(blob).st_ino, "one inode with two names")
        junk = node.folder / "junk"
        junk.write_bytes(b"junk" * 4096)
        ref = f"default/99/layer-{layer.digest}"

        answer = node.content_tool("write", ref, str(layer.size), "stat", "stat",
                                   f"write:0:{junk}", "stat", f"commit:{layer.digest}")
        lines = answer.stdout.splitlines()
        self.assertTrue(lines[0].startswith("stat offset=0 "), answer)
        self.assertTrue(lines[1].startswith(f"stat offset={layer.size} "), answer)
        self.assertTrue(lines[2].startswith(f"write offset={16384} "), answer)
        self.assertNotEqual(answer.returncode, 0, "junk was committed")

        self.assertEqual(self.hash_of(cached), layer.digest)
        self.assertEqual(self.hash_of(blob), layer.digest)
        self.assert_whole(node)

    def test_manifest_of_junk_is_stored_and_ignored(self):
        node, = self.start_lab()
        for size in (image.MIB, 64 * image.MIB):
            with self.subTest(size=size):
                self.put_junk_manifest(node, size)
        node.pull(self.ref)
        self.assert_whole(node)
        self.assert_no_layer_gets_by(node)

    def put_junk_manifest(self, node, size):
        """Nested as deep as it is long."""
        pattern = b'{"layers":['
        junk = (pattern * (size // len(pattern) + 1))[:size]
        digest = "sha256:" + hashlib.sha256(junk).hexdigest()
        parts = []
        for offset in range(0, size, 8 * image.MIB):
            part = node.folder / f"junk{size}-{offset}"
            part.write_bytes(junk[offset:offset + 8 * image.MIB])
            parts.append(f"write:{offset}:{part}")
        answer = node.content_tool("write", f"default/1/manifest-{digest}", str(size), "stat",
                                   *parts, f"commit:{digest}")
        self.assertEqual(answer.returncode, 0, answer)
        self.assertEqual(node.content_tool("info", digest).stdout.split(), [digest, str(size)])

    def test_malformed_refs_are_ordinary_ingests_or_refused(self):
        node, = self.start_lab()
        for ref in ("", "layer-sha256:", "default/1/layer-sha256:zz", "../../../etc/passwd",
                    "default/1/layer-sha256:" + "0" * 63, "\x01/\x02/layer-sha256:" + "0" * 64,
                    "x" * 100_000):
            node.content_tool("write", ref, "4", "stat", "stat")
            self.assertTrue(node.plugin.alive(), ref)
        node.pull(self.ref)
        self.assert_whole(node)
