"""The whole lab: a registry, trackers, seeders and nodes, started and stopped together."""

import os
import pathlib
import shutil
import sys

from . import isolation
from .containerd import usable_snapshotter
from .network import Network
from .node import Node
from .parts import SEEDER_PORT, UNLIMITED, Seeder, Services, Tracker
from .process import LabError, wait_until
from .registry import NAME, PORT, Registry


class Lab:
    """Hosts, and the parts that run on them. To be used inside of isolation.isolated():

        with Lab(folder, programs) as lab:
            lab.add_registry()
            lab.add_services(trackers=2, seeders=2)
            node = lab.add_node("node1", containerd)
            lab.start()

    `folder` holds everything that is written, `programs` the built binaries. Leaving the block
    stops everything; state goes, logs stay (in folder/logs unless `logs` names another folder), and
    state too when `keep_state`.
    """

    def __init__(self, folder, programs, keep_state=False, logs=None):
        self.folder = pathlib.Path(folder).resolve()
        self.logs = pathlib.Path(logs or self.folder / "logs").resolve()
        self._programs = pathlib.Path(programs).resolve()
        self._keep_state = keep_state
        self.registry = None
        self.registry_name = f"{NAME}:{PORT}"
        self.registry_url = f"http://{NAME}:{PORT}"
        self.trackers, self.seeders, self.nodes = [], [], []
        self._names = None
        self._stopped = False

    def __enter__(self):
        if isolation.RUN_VARIABLE not in os.environ:
            raise LabError("a Lab runs inside of isolation.isolated() only")
        _empty(self.folder)
        _empty(self.logs)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / "tmp"
        scratch.mkdir()
        os.environ["TMPDIR"] = str(scratch)
        for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
            del os.environ[variable]
        self.env = dict(os.environ)
        self.snapshotter = usable_snapshotter(self.folder)
        self.network = Network()
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        except LabError as error:
            if kind is None:
                raise
            # What went wrong first is what matters.
            print(f"lab: {error}", file=sys.stderr)
        return False

    def program(self, name):
        """Path of a built program, by its name; "eagle-" may be left out."""
        path = self._programs / (name if name == "eaglectl" else f"eagle-{name}")
        if not path.exists():
            raise LabError(f"{path} is missing: build it first")
        return path

    # Putting it together. Hosts are made here, nothing is started.

    def add_registry(self, **link):
        host = self.network.add_host("registry", **link)
        self.registry = Registry(host, self.folder / "registry", self.logs / "registry.log")
        self.name_host(NAME, host)
        return self.registry

    def name_host(self, name, host):
        """Everybody in the lab finds the host under this name."""
        if not self._names:
            self._names = self.folder / "hosts"
            self._names.write_text("127.0.0.1 localhost\n")
            isolation.bind(self._names, "/etc/hosts")
        with open(self._names, "a", encoding="utf-8") as out:
            out.write(f"{host.address} {name}\n")

    def add_services(self, trackers=2, seeders=2, rate=UNLIMITED, link=None, origins=None,
                     tracker_overrides=None, seeder_overrides=None):
        """So many trackers and seeders, which know of each other. `origins` maps the names of
        registries to URLs; the lab's own one is meant when it is left out."""
        link = link or {}
        for number in range(1, trackers + 1):
            host = self.network.add_host(f"tracker{number}", **link)
            self.trackers.append(Tracker(self, host, tracker_overrides))
        hosts = [self.network.add_host(f"seeder{n}", **link) for n in range(1, seeders + 1)]
        self._services = Services([f"{host.address}:{SEEDER_PORT}" for host in hosts],
                                  [tracker.announce_url for tracker in self.trackers])
        for host in hosts:
            self.seeders.append(Seeder(self, host, self._services,
                                       origins=origins or {NAME: self.registry_url}, rate=rate,
                                       overrides=seeder_overrides))

    def add_node(self, name, containerd, link=None, **options):
        """A node with Eagle that uses the services added before; `options` are Node's."""
        return self._add_node(name, link, containerd, self._services, **options)

    def add_stock_node(self, name, containerd, link=None):
        """A node with containerd only."""
        return self._add_node(name, link, containerd)

    def _add_node(self, name, link, *args, **options):
        node = Node(self, self.network.add_host(name, **(link or {})), *args, **options)
        self.nodes.append(node)
        return node

    # Running it.

    def start(self, nodes=True):
        """Starts everything and waits until all of it is ready."""
        if self.registry:
            self.registry.start()
        parts = [*self.trackers, *self.seeders, *(self.nodes if nodes else [])]
        for part in parts:
            part.start()
        for part in parts:
            part.wait_ready()

    def stop(self):
        """Ends every part, then removes the state. LabError when a part did not end cleanly, or
        when anything is left running or mounted; that is ended and unmounted first."""
        if self._stopped:
            return
        self._stopped = True
        problems = [problem for node in self.nodes for problem in node.stop()]
        services = [part.process for part in [*self.seeders, *self.trackers]]
        problems += [problem for problem in (part.stop() for part in services) if problem]
        if self.registry:
            self.registry.stop()
        problems += self._leaks()
        for pid in isolation.processes():
            _kill(pid)
        if self._names:
            isolation.unmount("/etc/hosts")
        self.network.close()
        if not self._keep_state:
            _empty(self.folder, keep=("logs",))
        if problems:
            raise LabError("\n".join(problems))

    def ref(self, repository, tag="1"):
        """The name of an image in the lab's registry."""
        return f"{self.registry_name}/{repository}:{tag}"

    def _leaks(self):
        # What ends by itself within a moment is no leak: a shim that is on its way out.
        try:
            wait_until(lambda: not isolation.processes(), "all processes to end", seconds=3)
        except LabError:
            pass
        leaks = [f"left running: process {pid} ({command})"
                 for pid, command in isolation.processes().items()]
        return leaks + [f"left mounted: {point}"
                        for point in isolation.mounts_below(self.folder)]


def _kill(pid):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


def _empty(folder, keep=()):
    """Removes what is in the folder, mounts first."""
    for point in isolation.mounts_below(folder):
        isolation.unmount(point)
    for entry in folder.iterdir() if folder.exists() else ():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
