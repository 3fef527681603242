"""What every scenario shares: a lab for each test, and the questions that most of them ask."""

import dataclasses
import hashlib
import pathlib
import unittest

from lab import image
from lab.containerd import Containerd
from lab.lab import Lab

REPOSITORY = "team/app"


@dataclasses.dataclass(frozen=True)
class Options:
    programs: pathlib.Path
    folder: pathlib.Path
    images: pathlib.Path
    containerd: pathlib.Path
    keep_state: bool = False


options = None  # Set by scenario.py before anything is loaded.


class LabCase(unittest.TestCase):
    """A test with a lab of its own: a registry with one small image, two trackers, two seeders.
    The lab is stopped after the test, which fails when a program did not end cleanly or when
    anything is left."""

    def setUp(self):
        self.containerd = Containerd(options.containerd)
        self.lab = Lab(options.folder / self._testMethodName, options.programs, options.keep_state)
        self.lab.__enter__()
        self.addCleanup(self.lab.stop)
        self.lab.add_registry()
        self.image = image.small_image(options.images, zstd_layer=1)

    def start_lab(self, nodes=1, services=None, **node_options):
        """Starts the usual lab, pushes the image and returns the nodes."""
        self.lab.add_services(**(services or {}))
        started = [self.lab.add_node(f"node{n}", self.containerd, **node_options)
                   for n in range(1, nodes + 1)]
        self.lab.start()
        self.ref = self.push(self.image)
        return started

    def push(self, pushed, repository=REPOSITORY):
        self.lab.registry.push(pushed, repository, "1")
        return self.lab.ref(repository)

    # Questions.

    def layer_gets(self, *nodes, of=None):
        """GETs of layers at the registry, by these nodes or by anybody."""
        clients = [node.host.address for node in nodes] or None
        return self.lab.registry.blob_gets((of or self.image).layer_digests, clients)

    def assert_whole(self, node, namespace="default", of=None):
        """Every blob of the image reads back from containerd as its digest says."""
        self.assertEqual(node.bad_blobs(of or self.image, namespace), [])

    def assert_each_layer_left_registry_once(self, of=None):
        gets = sorted(request.blob for request in self.layer_gets(of=of))
        self.assertEqual(gets, sorted((of or self.image).layer_digests))

    def assert_no_layer_gets_by(self, *nodes):
        self.assertEqual(self.layer_gets(*nodes), [])

    def hash_of(self, path):
        with open(path, "rb") as data:
            return "sha256:" + hashlib.file_digest(data, "sha256").hexdigest()


def wait_pulls(*pulls, seconds=60):
    """Waits for pulls that were started together; the logs of those that failed."""
    failures = []
    for pull in pulls:
        if pull.wait(seconds) != 0:
            failures.append(f"{pull.name}: {pull.log_tail()}")
    return failures
