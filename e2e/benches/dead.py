"""what a broken Eagle costs the pull of an image of five layers

Counted is the time in which containerd stood in the second STAT of a layer that then came from the
registry: the union of these waits over the image's layers, read from the plugin's debug log (waits
of layers side by side count once, as on the pull's critical path). Where the swarm stalls half-way, waiting was
right until then, and the time since counts. The same image is pulled by a stock node beside it.
"""

import datetime
import re
import time

from lab import image
from lab.process import LabError, wait_until

from .report import Target

LAYERS = 5
LAYER_BYTES = 4 << 20
REPOSITORY = "bench/dead"

TARGETS = {
    "sidecar_gone_s": Target(0.2, 0.1),
    "sidecar_hung_s": Target(2, 1),
    "seeder_refuses_s": Target(0.2, 0.1),
    "seeder_blackholed_s": Target(2, 1),
    "tracker_gone_s": Target(0.5, 0.25),
    "stalled_s": Target(6, 3),
}
_ANSWERED = re.compile(r"^(\S+) debug +layer_answered ref=\S*/(\d+)/\S+ reason=(\S+) "
                       r"waited_ms=(\d+)")


def measure(bench, report):
    for metric in TARGETS:
        scenario = metric.removesuffix("_s")
        waits = [run["vain_s"] for run in measure_scenario(bench, report, scenario)]
        report.median(metric, waits)


def measure_scenario(bench, report, scenario):
    with bench.lab(scenario) as lab:
        registry = lab.add_registry()
        # A seeder that refuses: it knows another registry only.
        origins = {"elsewhere.lab": lab.registry_url} if scenario == "seeder_refuses" else None
        lab.add_services(origins=origins)
        link = {"download_mbit": 200} if scenario == "stalled" else None
        eagle = lab.add_node("eagle", bench.containerd, link=link,
                             plugin_overrides={"log_level": "debug"})
        stock = lab.add_stock_node("stock", bench.containerd)
        lab.start()
        pulls = Pulls(bench, lab, registry, eagle, stock, scenario)
        return [report.run(scenario, **pulls.measure(number)) for number in range(bench.runs)]


class Pulls:
    """Pulls of one image after the other on a node whose Eagle is broken in one way."""

    def __init__(self, bench, lab, registry, eagle, stock, scenario):
        self._bench = bench
        self._lab = lab
        self._registry = registry
        self._eagle = eagle
        self._stock = stock
        self._scenario = scenario

    def start_fresh(self, number):
        """A sidecar that remembers no trouble, and a pull while all is well, so that every
        connection stands when it breaks."""
        self._eagle.sidecar.stop()
        self._eagle.sidecar.start()
        self._eagle.wait_ready()
        ref = self._push(f"warm-{number}", layer_bytes=2 << 20)
        for node in (self._stock, self._eagle):
            node.pull(ref, via="cri")

    def measure(self, number):
        self.start_fresh(number)
        ref = self._push(number, layer_bytes=LAYER_BYTES * (3 if self._scenario == "stalled" else 1))
        self._stock.pull(ref, via="cri")
        log = self._eagle.plugin.log
        read = log.stat().st_size
        fault = Fault(self._lab, self._eagle, self._scenario)
        if self._scenario == "stalled":
            broke_at = self._pull_and_break(ref, fault)
        else:
            broke_at = 0.0
            fault.begin()
            self._eagle.pull(ref, via="cri")
        fault.end()
        waits = answered(log.read_bytes()[read:].decode(), broke_at)
        return {"vain_s": round(union(waits), 3), "fallback_layers": len(waits),
                "eagle_s": round(self._eagle.pull_seconds, 2),
                "stock_s": round(self._stock.pull_seconds, 2)}

    def _push(self, number, layer_bytes):
        pushed = image.build(self._bench.images, [
            image.SeededLayer(f"dead-{self._scenario}-{number}-{i}", layer_bytes, busybox=i == 0)
            for i in range(LAYERS)])
        repository = f"{REPOSITORY}-{self._scenario}-{number}".replace("_", "-")
        self._registry.push(pushed, repository, "1")
        return self._lab.ref(repository)

    def _pull_and_break(self, ref, fault):
        """Breaks Eagle when a quarter of the image has come; returns when that was."""
        wanted = self._eagle.received_bytes() + LAYERS * LAYER_BYTES * 3 // 4
        started = time.monotonic()
        pull = self._eagle.start_pull(ref, via="cri")
        wait_until(lambda: self._eagle.received_bytes() >= wanted, "the middle of a pull")
        fault.begin()
        broke_at = time.time()
        if pull.wait(60) != 0:
            raise LabError(f"the pull failed: {pull.log_tail()}")
        self._eagle.pull_seconds = time.monotonic() - started
        return broke_at


class Fault:
    """Breaks one thing, and mends it."""

    def __init__(self, lab, node, scenario):
        seeders = [seeder.process for seeder in lab.seeders]
        trackers = [tracker.process for tracker in lab.trackers]
        hosts = [seeder.host for seeder in lab.seeders]
        nothing = ([], [])
        self._begin, self._end = {
            "sidecar_gone": ([node.sidecar.kill], [node.sidecar.start, node.wait_ready]),
            "sidecar_hung": ([node.sidecar.freeze], [node.sidecar.thaw]),
            "seeder_refuses": nothing,
            "seeder_blackholed": ([lambda: [lab.network.cut(host) for host in hosts]],
                                  [lambda: [lab.network.mend(host) for host in hosts]]),
            "tracker_gone": ([tracker.kill for tracker in trackers],
                             [tracker.start for tracker in trackers]),
            "stalled": ([seeder.freeze for seeder in seeders],
                        [seeder.thaw for seeder in seeders]),
        }[scenario]

    def begin(self):
        for step in self._begin:
            step()

    def end(self):
        for step in self._end:
            step()


def answered(log, not_before):
    """(from, to) of the waits that ended in a fallback, in seconds since the epoch."""
    waits = []
    for line in log.splitlines():
        match = _ANSWERED.match(line)
        if match and match[3] != "none":
            end = datetime.datetime.fromisoformat(match[1]).timestamp()
            waits.append((max(end - int(match[4]) / 1000, not_before), end))
    return waits


def union(waits):
    """Seconds that are in any of the intervals."""
    total, reached = 0.0, 0.0
    for start, end in sorted(waits):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
