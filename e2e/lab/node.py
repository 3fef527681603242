"""A node: a real containerd of its own and, unless it is a stock one, eagle-plugin and
eagle-sidecar."""

import hashlib
import pathlib
import subprocess
import time

from .containerd import write_hosts_toml
from .isolation import run_id
from .metrics import read_metrics
from .parts import UNLIMITED, merged, write_config
from .process import LabError, Process

PLUGIN_METRICS_PORT = 61010
SIDECAR_METRICS_PORT = 61011
SIDECAR_BITTORRENT_PORT = 61007

PULL_SECONDS = 60


class Node:
    """State is in `folder`, sockets are in `sockets` (short: a path has 107 bytes at most)."""

    def __init__(self, lab, host, containerd, services=None, *, rate=UNLIMITED,
                 plugin_overrides=None, sidecar_overrides=None):
        """Without `services` (whose seeders and trackers it uses) the node is a stock one."""
        self.name = host.name
        self.host = host
        self._lab = lab
        self._programs = containerd
        self.folder = lab.folder / host.name
        self.sockets = pathlib.Path("/run") / host.name
        self.root = self.folder / "containerd"
        self.content = self.root / "io.containerd.content.v1.content"
        self.cache = self.root / "eagle"
        self.socket = self.sockets / "containerd.sock"
        self.plugin_socket = self.sockets / "plugin.sock"
        self.certs = self.folder / "certs.d"
        self.config = None
        for folder in (self.sockets, self.cache, self.folder / "scratch/cni"):
            folder.mkdir(parents=True, exist_ok=True)
        write_hosts_toml(self.certs, lab.registry_name, lab.registry_url)
        self.containerd = self.plugin = self.sidecar = None
        self.pull_seconds = None
        self._pulls = []
        if services:
            self._add_sidecar(services, rate, sidecar_overrides)
            self._add_plugin(plugin_overrides)

    def _add_sidecar(self, services, rate, overrides):
        config = write_config(self.folder / "sidecar.yaml", merged({
            "listen": f"unix:{self.sockets}/node.sock",
            "cache_dir": str(self.cache),
            "seeders": services.seeders,
            "trackers": services.trackers,
            "bittorrent": {"port": SIDECAR_BITTORRENT_PORT, "upload_limit": rate,
                           "download_limit": rate},
            "cache": {"limit": "20GiB", "min_free": "0%"},
            "metrics": {"listen": f"0.0.0.0:{SIDECAR_METRICS_PORT}"},
        }, overrides))
        self.sidecar_url = f"http://{self.host.address}:{SIDECAR_METRICS_PORT}"
        self.sidecar = self._eagle("sidecar", config)

    def _add_plugin(self, overrides):
        config = write_config(self.folder / "plugin.yaml", merged({
            "listen": f"unix:{self.plugin_socket}",
            "containerd_address": f"unix:{self.socket}",
            "root": str(self.content),
            "cache_dir": str(self.cache),
            "sidecar_address": f"unix:{self.sockets}/node.sock",
            "state_dir": str(self.folder / "state"),
            "metrics": {"listen": f"0.0.0.0:{PLUGIN_METRICS_PORT}"},
        }, overrides))
        self.plugin_url = f"http://{self.host.address}:{PLUGIN_METRICS_PORT}"
        self.plugin = self._eagle("plugin", config)

    def _eagle(self, part, config):
        return Process(f"{self.name}/{part}", [self._lab.program(part), "--config", config],
                       self._lab.logs / f"{self.name}-{part}.log", self.host)

    # Starting and stopping.

    def start(self):
        """Everything that the node is made of, without waiting."""
        if self.plugin:
            self.sidecar.start()
            self.plugin.start()
        self.start_containerd(eagle=self.plugin is not None)
        return self

    def start_containerd(self, eagle, drop_ins=None):
        """With Eagle's store or, on the same folder, with the built-in one; or as the files in
        `drop_ins` say."""
        self.config = self.folder / "config.toml"
        self.config.write_text(self._programs.config(
            root=self.root, state=self.sockets / "state", address=self.socket,
            scratch=self.folder / "scratch", certs=self.certs, snapshotter=self._lab.snapshotter,
            plugin=self.plugin_socket if eagle else None, drop_ins=drop_ins))
        self.containerd = Process(
            f"{self.name}/containerd",
            [self._programs.program, "--config", self.config, "--log-level", "info"],
            self._lab.logs / f"{self.name}-containerd.log", self.host, self._programs.env)
        self.containerd.start()

    def wait_ready(self):
        """Waits for what was started."""
        if self.sidecar and self.sidecar.expected:
            self.sidecar.wait_ready_url(self.sidecar_url + "/readyz")
        if self.plugin and self.plugin.expected:
            self.plugin.wait_ready_url(self.plugin_url + "/readyz")
        self.containerd.wait_ready(lambda: self.socket.exists() and
                                   self._ctr(["version"]).returncode == 0, "its API")

    def stop(self):
        """Ends everything in the reverse order; returns what went wrong with that."""
        if self.containerd and self.containerd.alive():
            self._end_containers()
        for pull in self._pulls:
            pull.kill()
        parts = [self.containerd, self.plugin, self.sidecar]
        return [problem for problem in (part.stop() for part in parts if part) if problem]

    def stop_containerd(self):
        """LabError when it does not end cleanly."""
        _must_end(self.containerd)

    def stop_eagle(self):
        """Ends plugin and sidecar, cleanly or with a LabError."""
        _must_end(self.plugin)
        _must_end(self.sidecar)

    def _end_containers(self):
        running = self._ctr(["-n", "default", "tasks", "ls", "-q"], 10).stdout.split()
        for name in running:
            self._ctr(["-n", "default", "tasks", "rm", "--force", name], 10)

    # What containerd does.

    def ctr(self, *args, namespace="default", seconds=PULL_SECONDS):
        """Runs ctr; returns its standard output."""
        done = self._ctr(["-n", namespace, *args], seconds)
        if done.returncode != 0:
            raise LabError(f"{self.name}: ctr {' '.join(map(str, args))} failed: "
                           f"{done.stderr.strip()[-1500:]}")
        return done.stdout

    def pull(self, ref, namespace="default", via="ctr", seconds=PULL_SECONDS):
        """Pulls an image and waits. `via` is "ctr" or "cri" (whose namespace is k8s.io)."""
        start = time.monotonic()
        if via == "cri":
            self.cri("pull", ref, seconds=seconds)
        else:
            self.ctr("images", "pull", "--snapshotter", self._lab.snapshotter, "--hosts-dir",
                     self.certs, ref, namespace=namespace, seconds=seconds)
        self.pull_seconds = time.monotonic() - start

    def start_pull(self, ref, namespace="default", via="ctr"):
        """The same as a Process of its own, to be waited for."""
        log = self._lab.logs / f"{self.name}-pull-{namespace}.log"
        if via == "cri":
            argv = [self._lab.program("e2e-cri"), "pull", self.socket, ref]
        else:
            argv = [*self._ctr_argv(), "-n", namespace, "images", "pull", "--snapshotter",
                    self._lab.snapshotter, "--hosts-dir", self.certs, ref]
        pull = Process(f"{self.name}/pull", argv, log, self.host, self._programs.env).start()
        self._pulls.append(pull)
        return pull

    def cri(self, verb, *args, seconds=PULL_SECONDS):
        """pull, status, remove or list through CRI's image service; returns the output."""
        argv = self.host.command([self._lab.program("e2e-cri"), verb, self.socket, *args])
        done = _run(argv, seconds)
        if done.returncode != 0:
            raise LabError(f"{self.name}: CRI {verb} failed: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def remove(self, ref, namespace="default"):
        """Removes an image and collects what nothing refers to any more."""
        if namespace == "k8s.io":
            self.cri("remove", ref)
        else:
            self.ctr("images", "rm", "--sync", ref, namespace=namespace)

    def run_container(self, ref, argv, name="demo"):
        """Runs argv in a container of the image; returns its output."""
        return self.ctr("run", "--rm", "--snapshotter", self._lab.snapshotter, "--cgroup",
                        f"/{run_id()}/{self.name}", ref, name, *argv)

    def start_container(self, ref, argv, name="running"):
        """Starts argv in a container that goes on running."""
        self.ctr("run", "-d", "--snapshotter", self._lab.snapshotter, "--cgroup",
                 f"/{run_id()}/{self.name}", ref, name, *argv)

    # What containerd and the store hold.

    def blobs(self, namespace="default"):
        """Digests that containerd knows in a namespace."""
        return set(self.ctr("content", "ls", "-q", namespace=namespace).split())

    def hash_blob(self, digest, namespace="default"):
        """Reads a blob out of containerd; returns the digest and the size of what came."""
        argv = [*self._ctr_argv(), "-n", namespace, "content", "get", digest]
        sha256, size = hashlib.sha256(), 0
        with subprocess.Popen(self.host.command(argv), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self._containerd_env()) as child:
            while chunk := child.stdout.read(1 << 20):
                sha256.update(chunk)
                size += len(chunk)
            error = child.stderr.read().decode(errors="replace").strip()
        if child.returncode != 0:
            raise LabError(f"{self.name}: ctr content get {digest}: {error}")
        return "sha256:" + sha256.hexdigest(), size

    def bad_blobs(self, image, namespace="default"):
        """What is wrong with the image on this node, blob for blob; empty when it is whole."""
        problems = []
        for digest, size in image.blobs.items():
            try:
                got = self.hash_blob(digest, namespace)
            except LabError as error:
                problems.append(str(error))
                continue
            if got != (digest, size):
                problems.append(f"{self.name}: {digest} of {size} bytes reads as {got}")
        return problems

    def blob_path(self, digest):
        """The blob's file in the content root."""
        return self.content / "blobs" / digest.replace(":", "/")

    def cache_path(self, digest):
        """The layer's file in Eagle's cache."""
        return self.cache / "blobs" / digest.removeprefix("sha256:")

    # What Eagle says it did.

    def plugin_metrics(self):
        return read_metrics(self.plugin_url + "/metrics")

    def sidecar_metrics(self):
        return read_metrics(self.sidecar_url + "/metrics")

    def p2p_bytes(self):
        """Bytes of layers that containerd did not have to take from the registry."""
        return round(self.plugin_metrics().sum("eagle_plugin_p2p_bytes_total"))

    def fallback_layers(self):
        """Layers that the plugin left to the registry."""
        return round(self.plugin_metrics().sum("eagle_plugin_layers_total", outcome="fallback"))

    def applied_layers(self):
        """Layers that the plugin has unpacked."""
        return round(self.plugin_metrics().sum("eagle_plugin_applies_total", result="ok"))

    def received_from(self):
        """Payload that the sidecar has received since it started: (from nodes, from seeders)."""
        metrics = self.sidecar_metrics()
        return tuple(round(metrics.sum("eagle_sidecar_received_bytes_total", source=source))
                     for source in ("peers", "seeders"))

    def received_bytes(self):
        return sum(self.received_from())

    def content_tool(self, *args, seconds=60):
        """Talks to the plugin's socket directly (eagle-e2e-content); returns the finished run."""
        argv = [self._lab.program("e2e-content"), args[0], self.plugin_socket, *args[1:]]
        return _run(self.host.command(argv), seconds)

    def _ctr_argv(self):
        return [str(self._programs.ctr), "-a", str(self.socket)]

    def _containerd_env(self):
        return {**self._lab.env, **self._programs.env}

    def _ctr(self, args, seconds=PULL_SECONDS):
        argv = self.host.command([*self._ctr_argv(), *args])
        return _run(argv, seconds, self._containerd_env())


def _run(argv, seconds, env=None):
    try:
        return subprocess.run(argv, capture_output=True, text=True, errors="replace",
                              timeout=seconds, env=env, check=False)
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(map(str, argv))}: no end after {seconds} s") from None


def _must_end(process):
    problem = process.stop()
    if problem:
        raise LabError(problem)
