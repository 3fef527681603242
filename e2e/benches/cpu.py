"""processor time for a gigabyte: the plugin's verifying and linking, and its unpacking

verify_link: layers that lie in the node's cache are fetched into containerd without unpacking, so the
plugin does nothing but hash them and link them. apply_gzip: the same layers are unpacked, by the plugin's worker
processes, for each gigabyte of uncompressed data. User and system time of plugin and workers, from
/proc.
"""

import os
import pathlib

from lab import image
from lab.process import LabError

from .report import Target

TARGETS = {"plugin_verify_link": Target(0.8)}
MIB = 1 << 20
GB = 1e9
LAYERS = (
    image.MachineLayer("cpu-files", 256 * MIB, busybox=True),
    image.SeededLayer("cpu-random-1", 192 * MIB),
    image.SeededLayer("cpu-random-2", 192 * MIB),
    image.SeededLayer("cpu-random-3", 192 * MIB),
)
REPOSITORY = "bench/cpu"


def measure(bench, report):
    with bench.lab("cpu") as lab:
        registry = lab.add_registry()
        lab.add_services(trackers=1, seeders=1)
        node = lab.add_node("node", bench.containerd)
        lab.start()
        pushed = image.build(bench.images, LAYERS)
        registry.push(pushed, REPOSITORY, "1")
        ref = lab.ref(REPOSITORY)
        node.pull(ref, seconds=300)  # Fills the cache.
        runs = [measure_once(report, node, ref, pushed) for _ in range(bench.runs)]
    report.median("plugin_verify_link", [run["verify_link"] for run in runs], "CPU-s/GB")
    report.median("apply_gzip", [run["apply_gzip"] for run in runs], "CPU-s/GB")


def measure_once(report, node, ref, pushed):
    node.remove(ref)
    start = processor_seconds(node.plugin.pid)
    node.ctr("content", "fetch", "--hosts-dir", node.certs, ref, seconds=300)
    fetched = processor_seconds(node.plugin.pid)
    if node.fallback_layers():
        raise LabError("a layer came from the registry")
    before = applied_bytes(node)
    node.ctr("snapshots", "unpack", "--snapshotter", "overlayfs", pushed.digest, seconds=300)
    unpacked = processor_seconds(node.plugin.pid)
    applied = applied_bytes(node) - before
    if not applied:
        raise LabError("nothing was unpacked by Eagle")
    return report.run("fetch and unpack",
                      verify_link=(fetched - start) / (pushed.layer_bytes / GB),
                      apply_gzip=(unpacked - fetched) / (applied / GB),
                      compressed_gb=pushed.layer_bytes / GB, plain_gb=applied / GB)


def applied_bytes(node):
    return node.plugin_metrics().sum("eagle_plugin_applied_bytes_total")


def processor_seconds(pid):
    """User and system time of a process and of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
