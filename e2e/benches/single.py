"""pull and unpack on one node, over a stock containerd; the network is free

Three nodes pull the same image in turn: a stock one, one with Eagle whose policy denies P2P, so that
every layer comes from the registry, and one with Eagle and an empty cache that has the layers from
a warm seeder on the same two cores. An image is one layer of a kind (those of bench-apply).
"""

import shutil
import statistics

from lab import image
from lab.process import LabError

from .apply import KINDS
from .report import Target

TARGETS = {"registry_over_stock": Target(0.90, 0.60), "p2p_over_stock": Target(1.00, 0.60)}
PULL_SECONDS = 120


def measure(bench, report):
    ratios = {"registry": [], "p2p": []}
    with bench.lab("single") as lab:
        registry = lab.add_registry()
        lab.add_services(trackers=1, seeders=1)
        stock = lab.add_stock_node("stock", bench.containerd)
        denied = lab.add_node("denied", bench.containerd,
                              plugin_overrides={"p2p": {"deny": [".*"]}})
        eagle = lab.add_node("eagle", bench.containerd)
        lab.start()
        for kind, spec in KINDS.items():
            registry.push(image.build(bench.images, [spec]), f"bench/{kind}", "1")
            ref = lab.ref(f"bench/{kind}")
            pull(eagle, ref)  # Warms the seeder.
            runs = [measure_once(report, kind, ref, stock, denied, eagle)
                    for _ in range(bench.runs)]
            for way in ratios:
                ratios[way].append(statistics.median(run[f"{way}_over_stock"] for run in runs))
        check_ways(lab, denied, eagle)
    kinds = ", ".join(KINDS)
    for way, values in ratios.items():
        report.value(f"{way}_over_stock", statistics.geometric_mean(values),
                     f"{kinds}: {', '.join(f'{value:.2f}' for value in values)}")


def measure_once(report, kind, ref, stock, denied, eagle):
    empty_cache(eagle)
    seconds = {node.name: pull(node, ref) for node in (stock, denied, eagle)}
    return report.run(kind, stock_s=seconds["stock"], registry_s=seconds["denied"],
                      p2p_s=seconds["eagle"],
                      registry_over_stock=seconds["denied"] / seconds["stock"],
                      p2p_over_stock=seconds["eagle"] / seconds["stock"])


def pull(node, ref):
    node.pull(ref, seconds=PULL_SECONDS)
    seconds = node.pull_seconds
    node.remove(ref)
    return seconds


def empty_cache(node):
    node.sidecar.stop()
    shutil.rmtree(node.cache)
    node.cache.mkdir()
    node.sidecar.start()
    node.wait_ready()


def check_ways(lab, denied, eagle):
    """The figures mean what they say only if the layers came the way they should."""
    if denied.p2p_bytes() or eagle.fallback_layers():
        raise LabError("layers did not come the way they should: see the plugins' logs")
    for node in (denied, eagle):
        if not node.applied_layers():
            raise LabError(f"{node.name}: Eagle unpacked nothing")
