"""resident memory of the plugin after 20 pulls

Each pull is an image of four layers of 8 MiB that come over P2P and are unpacked; the plugin is
started anew for each run. VmRSS of its process, the pages of the binary included.
"""

import pathlib
import re

from lab import image

from .report import Target

TARGETS = {"plugin_mib": Target(48)}
PULLS = 20
LAYERS, LAYER_BYTES = 4, 8 << 20


def measure(bench, report):
    with bench.lab("memory") as lab:
        registry = lab.add_registry()
        lab.add_services()
        node = lab.add_node("node", bench.containerd)
        lab.start()
        refs = [push(bench, lab, registry, number) for number in range(PULLS)]
        figures = [measure_pulls(report, node, refs) for _ in range(bench.runs)]
    report.median("plugin_mib", [run["after_mib"] for run in figures])


def push(bench, lab, registry, number):
    pushed = image.build(bench.images, [
        image.SeededLayer(f"memory-{number}-{i}", LAYER_BYTES, busybox=i == 0)
        for i in range(LAYERS)])
    registry.push(pushed, f"bench/memory-{number}", "1")
    return lab.ref(f"bench/memory-{number}")


def measure_pulls(report, node, refs):
    node.plugin.stop()
    node.plugin.start()
    node.wait_ready()
    before, before_peak = resident(node.plugin.pid)
    for ref in refs:
        node.pull(ref)
    after, peak = resident(node.plugin.pid)
    served = node.plugin_metrics().sum("eagle_plugin_layers_total", outcome="p2p")
    for ref in refs:
        node.remove(ref)
    return report.run("pulls", before_mib=before, after_mib=after, peak_mib=peak,
                      started_peak_mib=before_peak, p2p_layers=served)


def resident(pid):
    """(now, at most) in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(round(int(re.search(rf"{key}:\s*(\d+)", status)[1]) / 1024, 1)
                 for key in ("VmRSS", "VmHWM"))
