"""Layers of a real distribution, unpacked by Eagle and by containerd: the trees are the same, entry
for entry, and containers run from them. On a journalled ext4, as on nodes."""

import contextlib
import hashlib
import os
import pathlib
import stat
import subprocess
import time
import unittest

from lab import debian, disk, image
from lab.lab import Lab

from . import case
from .case import REPOSITORY

NEEDS_LAB = True
DISK_BYTES = 16 << 30
SECONDS = 240
COMMANDS = (
    (["/usr/bin/python3", "-c", "print([6 * 7])"], "[42]"),
    (["/usr/bin/perl", "-e", "print join '-', 1..3"], "1-2-3"),
    (["/usr/bin/git", "--version"], "git version"),
    (["/bin/cat", "/usr/share/doc/git/left-alone"], "left alone"),
)

def prepare(images):
    debian.debian_tar(images)

def layers(images):
    tar = str(debian.debian_tar(images))
    return [
        image.TarLayer("debian", tar, "gzip"),
        image.GeneratedLayer("many", 3000, 1024, 8192, "zstd", busybox=True),
        # The same entries once more: everything is replaced.
        image.TarLayer("debian again", tar, "zstd"),
        image.WhiteoutLayer("whiteouts", ("usr/share/doc/perl", "etc/debian_version", "opt/many/3"),
                            ("usr/share/doc/git", "opt/many/5"), "none"),
    ]

class ApplyTest(unittest.TestCase):
    def setUp(self):
        folder = case.options.folder / self._testMethodName
        folder.mkdir(parents=True, exist_ok=True)
        files, point = folder.with_suffix(".disk"), folder / "disk"
        self.addCleanup(disk.remove_disk, files, point)
        disk.journalled_disk(files, point, DISK_BYTES)
        self.lab = Lab(point / "lab", case.options.programs, logs=folder / "logs")
        self.lab.__enter__()
        self.addCleanup(self.lab.stop)

    def test_real_layers_give_the_tree_that_containerd_gives(self):
        containerd = case.Containerd(case.options.containerd)
        self.lab.add_registry()
        self.lab.add_services(trackers=1, seeders=1)
        eagle = self.lab.add_node("eagle", containerd)
        stock = self.lab.add_stock_node("stock", containerd)
        self.lab.start()
        pushed = image.build(case.options.images, layers(case.options.images))
        self.lab.registry.push(pushed, REPOSITORY, "1")
        ref = self.lab.ref(REPOSITORY)
        trees = {}
        started = time.time_ns()
        for node in (stock, eagle):
            node.pull(ref, seconds=SECONDS)
            print(f"{node.name}: pulled and unpacked in {node.pull_seconds:.1f} s")
            with mounted(node, ref) as root:
                trees[node.name] = tree(root, started)
        self.assertEqual(eagle.applied_layers(), len(pushed.layers))
        self.assertGreater(len(trees["stock"]), 10_000)
        self.assertEqual(differences(trees["stock"], trees["eagle"]), [])
        print(f"{len(trees['stock'])} entries are the same")
        for argv, words in COMMANDS:
            self.assertIn(words, eagle.run_container(ref, argv))

@contextlib.contextmanager
def mounted(node, ref):
    """The image's root file system, read-only."""
    point = node.folder / "mounted"
    point.mkdir()
    node.ctr("images", "mount", ref, point, seconds=SECONDS)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)

def tree(root, started):
    """Path to everything that makes an entry what it is. A time after `started` (in ns) is that of
    a folder without an entry of its own in the layer that changed it, and is "now" to both."""
    links = {}
    entries = {}
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = pathlib.Path(folder, name)
            entries[str(path.relative_to(root))] = describe(path, links, root, started)
    return entries

def describe(path, links, root, started):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as data:
            content = hashlib.file_digest(data, "sha256").hexdigest()
    # Names of one inode are named by the first of them.
    first = links.setdefault(status.st_ino, str(path.relative_to(root)))
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False)
              for name in os.listxattr(path, follow_symlinks=False)}
    return (kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_nlink,
            status.st_size if kind != stat.S_IFDIR else 0, status.st_rdev,
            status.st_mtime_ns if status.st_mtime_ns < started else "now", content,
            first if status.st_nlink > 1 and kind != stat.S_IFDIR else "", xattrs)


def differences(left, right):
    """At most twenty of them, in words."""
    found = [f"{path}: {left.get(path)} is {right.get(path)}"
             for path in sorted(left.keys() | right.keys()) if left.get(path) != right.get(path)]
    return found[:20]
