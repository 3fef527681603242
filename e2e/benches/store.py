"""the content store itself, beside containerd's built-in one, and with 100 layers waiting

Read, Write and List go to the plugin's socket and, for the ratio, to the socket of a stock
containerd, whose content service answers from the built-in store: the same client, the same
messages. For the waiting layers the sidecar is frozen (SIGSTOP) and 100 streams stand in their second STAT.
"""

import contextlib
import json
import os
import subprocess

from lab.process import LabError, wait_until

from .report import Target

TARGETS = {
    "p99_waiting_over_idle": Target(must=1.5),
}
MIB = 1 << 20
READ_SECONDS = 3
MIX_SECONDS = 5
LIST_BLOBS = 10_000
WAITING = 100
NAMESPACE = "bench"
# Long enough that nothing gives up while it is measured.
PATIENT = {"p2p": {"stall_timeout": "300s", "budget": "300s", "sidecar_timeout": "300s"}}


def measure(bench, report):
    with bench.lab("store") as lab:
        lab.add_registry()
        lab.add_services(trackers=1, seeders=1)
        eagle = lab.add_node("eagle", bench.containerd, plugin_overrides=PATIENT)
        stock = lab.add_stock_node("stock", bench.containerd)
        lab.start()
        plugin = Load(lab, eagle, eagle.plugin_socket)
        builtin = Load(lab, stock, stock.socket, NAMESPACE)
        runs = [measure_calls(report, name, load, number)
                for number in range(bench.runs)
                for name, load in (("eagle", plugin), ("built-in", builtin))]
        summarize_calls(report, runs)
        measure_waiting(bench, report, lab, eagle, plugin)
        measure_list(bench, report, eagle, plugin)


class Load:
    """eagle-e2e-load on one socket."""

    def __init__(self, lab, node, socket, namespace=None):
        self._program = lab.program("e2e-load")
        self._node = node
        self._socket = socket
        self.env = {**os.environ, **({"EAGLE_NAMESPACE": namespace} if namespace else {})}

    def argv(self, verb, *args):
        return self._node.host.command([self._program, verb, self._socket, *args])

    def __call__(self, verb, *args):
        done = subprocess.run(self.argv(verb, *args), capture_output=True, text=True, check=True,
                              env=self.env, timeout=120)
        return json.loads(done.stdout.splitlines()[-1])


def measure_calls(report, name, load, number):
    written = load("write", f"bench-{number}", 256 * MIB, MIB)
    small = load("read", written["digest"], 32 * 1024, READ_SECONDS)
    large = load("read", written["digest"], MIB, READ_SECONDS)
    return report.run(
        name, write_mb_s=written["bytes"] / written["seconds"] / 1e6,
        read_rpc_per_s=small["calls"] / small["seconds"],
        read_mb_s=large["bytes"] / large["seconds"] / 1e6)


def summarize_calls(report, runs):
    for metric in ("read_rpc_per_s", "read_mb_s", "write_mb_s"):
        eagle = [run[metric] for run in runs if run["what"] == "eagle"]
        builtin = [run[metric] for run in runs if run["what"] == "built-in"]
        report.median(metric, eagle)
        report.median(f"{metric}_over_builtin", [a / b for a, b in zip(eagle, builtin)])


def measure_waiting(bench, report, lab, node, load):
    digest = load("write", "mix-blob", MIB, MIB)["digest"]
    layers = Layers(lab, node, load)
    idle, waiting = [], []
    for _ in range(bench.runs):
        idle.append(load("mix", digest, MIX_SECONDS))
        # Over a connection that stands: a frozen sidecar that nobody had called yet is found out
        # when it does not complete the handshake, and then nothing waits.
        with layers.held(1):
            wait_until(lambda: waiting_layers(node) == 0, "an answer of the sidecar")
        node.sidecar.freeze()
        try:
            with layers.held(WAITING):
                waiting.append(load("mix", digest, MIX_SECONDS))
                if waiting_layers(node) != WAITING:
                    raise LabError("the layers did not wait all the time")
        finally:
            node.sidecar.thaw()
        report.run("mix", **{f"{name}_p99_ms": [round(idle[-1][name]["p99_ms"], 2),
                                                round(waiting[-1][name]["p99_ms"], 2)]
                             for name in idle[-1]})
    report.median("p99_idle_ms", [run["all"]["p99_ms"] for run in idle])
    report.median("p99_waiting_over_idle", [
        after["all"]["p99_ms"] / before["all"]["p99_ms"] for before, after in zip(idle, waiting)])


class Layers:
    """Layers that nobody has, and streams that ask for them."""

    def __init__(self, lab, node, load):
        self._node = node
        self._load = load
        self._containerd = Load(lab, node, node.socket, NAMESPACE)

    @contextlib.contextmanager
    def held(self, count):
        """`count` streams in their second STAT; they end with the block."""
        digests = self._containerd("manifest", count,
                                   "containerd.io/distribution.source.registry.lab",
                                   "team/app")["digests"]
        held = subprocess.Popen(self._load.argv("hold", *digests), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True,
                                env={**self._load.env, "EAGLE_HOLD_NAMESPACE": NAMESPACE})
        try:
            held.stdout.readline()
            if count > 1:
                wait_until(lambda: waiting_layers(self._node) == count, f"{count} layers to wait")
            yield
        finally:
            held.stdin.close()
            held.wait(20)
            held.stdout.close()


def waiting_layers(node):
    return node.plugin_metrics().sum("eagle_plugin_waiting_layers")


def measure_list(bench, report, node, load):
    folder = node.content / "blobs/sha256"
    for number in range(LIST_BLOBS):
        path = folder / f"{number:064x}"
        path.write_bytes(b"x")
        path.chmod(0o444)
    listed = [load("list") for _ in range(bench.runs)]
    for run in listed:
        report.run("list", **run)
    report.median("list_ms", [run["seconds"] * 1000 for run in listed])
