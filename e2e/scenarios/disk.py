"""A node on a small disk of its own: what containerd deletes is free at once, although Eagle's
cache has a second name for it."""

import os
import subprocess

from lab import image
from lab.process import wait_until

from . import case
from .case import LabCase

NEEDS_LAB = True

DISK_BYTES = 224 * image.MIB
LAYER_BYTES = 8 * image.MIB
# The sidecar looks by itself every 30 s; this shows that it was told.
AT_ONCE_SECONDS = 10


class SmallDiskTest(LabCase):
    def start_node(self, **cache):
        """A node whose containerd root, and so Eagle's cache, is an ext4 of its own."""
        self.lab.add_services()
        node = self.lab.add_node("node1", self.containerd, sidecar_overrides={"cache": cache})
        disk = self.lab.folder / "disk"
        with open(disk, "wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, node.root], check=True)
        self.addCleanup(self.give_disk_back, node)
        node.cache.mkdir()
        self.lab.start()
        return node

    def give_disk_back(self, node):
        problems = node.stop()
        subprocess.run(["umount", node.root], check=True)
        self.assertEqual(problems, [])

    def pull(self, node, seed):
        pulled = image.small_image(case.options.images, seed, layer_size=LAYER_BYTES)
        ref = self.push(pulled, f"team/{seed}")
        node.pull(ref)
        self.assert_whole(node, of=pulled)
        self.assertEqual(self.layer_gets(node, of=pulled), [])
        return pulled, ref

    def cached(self, node, of):
        return [layer for layer in of.layers if node.cache_path(layer.digest).exists()]

    def test_space_of_removed_image_is_free_when_disk_fills_up(self):
        node = self.start_node(min_free="20%")
        first, first_ref = self.pull(node, "disk-a")
        node.remove(first_ref)
        self.assertEqual(self.cached(node, first), first.layers, "there is room, so all stay")

        second, second_ref = self.pull(node, "disk-b")
        # Others leave less than 20 %: what only the cache has goes, within its own 30 s, and what
        # containerd has too stays.
        filler = node.root / "filler"
        fill(node, filler)
        wait_until(lambda: not self.cached(node, first), "the unused layers to go", seconds=60)
        self.assertEqual(self.cached(node, second), second.layers)
        self.assert_whole(node, of=second)

        # The unpacked files alone are less than what is missing.
        fill(node, filler)
        self.assertLess(free_bytes(node) + second.layer_bytes, 0.2 * total_bytes(node))
        node.remove(second_ref)
        wait_until(lambda: free_bytes(node) >= 0.2 * total_bytes(node),
                   "the space of the removed image", seconds=AT_ONCE_SECONDS)
        self.assertLess(len(self.cached(node, second)), len(second.layers))
        # And a pull on a disk that is short of space is still one without the registry.
        filler.unlink()
        self.pull(node, "disk-c")

    def test_removed_images_count_against_quota_at_once(self):
        limit = 40 * image.MIB
        node = self.start_node(limit=f"{limit}B", min_free="0%")
        pulled = [self.pull(node, seed) for seed in ("disk-a", "disk-b")]
        for of, _ in pulled:
            self.assertEqual(self.cached(node, of), of.layers, "what containerd has is not counted")
        for _, ref in pulled:
            node.remove(ref)

        def cached_bytes():
            return sum(layer.size for of, _ in pulled for layer in self.cached(node, of))

        wait_until(lambda: cached_bytes() <= limit, "the cache to shrink", seconds=AT_ONCE_SECONDS)
        self.assertEqual(self.cached(node, pulled[1][0]), pulled[1][0].layers, "used last")


def fill(node, filler):
    """Makes the file so large that hardly anything is free."""
    with open(filler, "ab") as file:
        os.posix_fallocate(file.fileno(), file.tell(), free_bytes(node) - total_bytes(node) // 25)


def total_bytes(node):
    space = os.statvfs(node.root)
    return space.f_blocks * space.f_frsize


def free_bytes(node):
    space = os.statvfs(node.root)
    return space.f_bavail * space.f_frsize
