"""Eagle's store against the built-in one: the same generated calls, and every answer compared.

Through containerd's own socket with a real containerd in front of each of both stores, and (on the
2.x line, from whose source it is built) at the plugin's socket against containerd's local store
behind containerd's own content server, which has neither the database nor the proxy client of
containerd in between. EAGLE_DIFFERENTIAL_SEQUENCES and EAGLE_DIFFERENTIAL_SEED are for longer runs
and for a failed seed.
"""

import os
import pathlib
import subprocess
import unittest

from lab.containerd import Containerd
from lab.parts import write_config
from lab.process import LabError, Process

from . import case

NEEDS_LAB = True

SEQUENCES = int(os.environ.get("EAGLE_DIFFERENTIAL_SEQUENCES", "250"))
SEED = int(os.environ.get("EAGLE_DIFFERENTIAL_SEED", "1"))
SECONDS = 120 + SEQUENCES * 3

# Everything in memory, as each call ends in a sync of containerd's database. Garbage is collected
# when a call says so and at no other time: not at the start, not after so many calls, and by the
# clock after two months.
_CONTAINERD = """\
version = 2
root = "{root}"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"{disabled}]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.gc.v1.scheduler"]
  deletion_threshold = 1000000000
  mutation_threshold = 0
  pause_threshold = 0.000000001
  startup_delay = "0s"
{proxy}"""
_DISABLED = ', "io.containerd.content.v1.content"'
_PROXY = """\
[proxy_plugins.eagle]
  type = "content"
  address = "{folder}/plugin.sock"
"""


class Side:
    """One store with its servers; `content` is its folder."""

    def __init__(self, name):
        self.name = name
        self.folder = pathlib.Path("/run/differential") / name
        self.content = self.folder / "root/io.containerd.content.v1.content"
        self.content.mkdir(parents=True)
        self.logs = case.options.folder / "logs"
        self._processes = []

    def start_plugin(self):
        config = write_config(self.folder / "plugin.yaml", {
            "listen": f"unix:{self.folder}/plugin.sock",
            "containerd_address": f"unix:{self.folder}/containerd.sock",
            "root": str(self.content),
            "cache_dir": "",
            "sidecar_address": f"unix:{self.folder}/none.sock",
            "metrics": {"listen": "127.0.0.1:0"},
        })
        program = case.options.programs / "eagle-plugin"
        return self._start("plugin", [program, "--config", config], "plugin.sock")

    def start_containerd(self, eagle):
        config = self.folder / "config.toml"
        config.write_text(_CONTAINERD.format(
            root=self.folder / "root", folder=self.folder, disabled=_DISABLED if eagle else "",
            proxy=_PROXY.format(folder=self.folder) if eagle else ""))
        programs = Containerd(case.options.containerd)
        return self._start("containerd", [programs.program, "--config", config],
                           "containerd.sock", programs.env)

    def start_reference(self):
        program = pathlib.Path(case.options.containerd).parent / "content-reference"
        return self._start("reference", [program, self.content, self.folder / "reference.sock"],
                           "reference.sock")

    def _start(self, name, argv, socket, env=None):
        """Starts a server and returns its address."""
        path = self.folder / socket
        process = Process(f"{self.name}/{name}", argv, self.logs / f"{self.name}-{name}.log",
                          env=env).start()
        self._processes.append(process)
        process.wait_ready(path.exists, socket)
        return f"unix:{path}"

    def stop(self):
        for process in reversed(self._processes):
            process.kill()

    def files(self):
        """What lies in the store, with its modes. containerd itself forgets an ingest now and then;
        Eagle marks its own with the machine's boot."""
        return {str(path.relative_to(self.content)): oct(path.stat().st_mode)
                for path in self.content.rglob("*") if path.is_file() and path.name != "boot"}


class DifferentialTest(unittest.TestCase):
    def setUp(self):
        self.built_in, self.eagle = (Side(f"{name}-{self._testMethodName}")
                                     for name in ("built-in", "eagle"))
        self.addCleanup(self.eagle.stop)
        self.addCleanup(self.built_in.stop)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def compare(self, built_in, eagle, surface, sequences):
        argv = [case.options.programs / "eagle-e2e-differential", "--built-in", built_in,
                "--eagle", eagle, "--surface", surface, "--seed", str(SEED),
                "--sequences", str(sequences)]
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace",
                              timeout=SECONDS, check=False)
        print(done.stdout[-60_000:], flush=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.built_in.files(), self.eagle.files())

    def test_through_containerd(self):
        built_in = self.built_in.start_containerd(eagle=False)
        self.eagle.start_plugin()
        eagle = self.eagle.start_containerd(eagle=True)
        self.compare(built_in, eagle, "containerd", SEQUENCES)

    def test_at_the_plugins_socket(self):
        if not (pathlib.Path(case.options.containerd).parent / "content-reference").exists():
            if case.options.containerd != "/usr/bin/containerd":
                raise LabError("content-reference is missing: run make tools")
            self.skipTest("the reference is of the 2.x line")
        # Three times as many take a fifth of the time.
        self.compare(self.built_in.start_reference(), self.eagle.start_plugin(), "store",
                     3 * SEQUENCES)
