#!/usr/bin/env python3
"""make demo: one image, many nodes, on real parts.

Starts a registry, two trackers, two seeders and some nodes, each on a host of its own, pulls one
image on all nodes at the same moment, checks what arrived and where it came from, and writes
<out>/result.json. Ends with 1 when a layer left the registry more than once, when an image is not
whole or when the figures do not agree.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys
import time

from lab import image, isolation
from lab.containerd import Containerd
from lab.lab import Lab
from lab.parts import UNLIMITED
from lab.process import LabError

REPOSITORY = "demo/app"
MIB = 1 << 20
PULL_SECONDS = 300
_REDRAW_SECONDS = 0.25
_PLAIN_SECONDS = 5.0
_BAR = 28


def main():
    options = parse_arguments()
    out = options.out.resolve()
    images = out.parent / "images"
    return isolation.isolated(lambda: run(options, out, images), [out, images])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of the programs")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="for logs and result.json")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--containerd", default="/usr/bin/containerd", help="path of a containerd")
    parser.add_argument("--rate", default=UNLIMITED,
                        help="upload and download limit of each node and seeder, as in 50MiB/s")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' state")
    return parser.parse_args()


def run(options, out, images):
    containerd = Containerd(options.containerd)
    say("building the image out of this machine's files (kept for the next time) ...")
    pulled = image.demo_image(images)
    with Lab(out, options.bin, keep_state=options.keep) as lab:
        start(lab, options, containerd, pulled)
        ref = lab.ref(REPOSITORY)
        pull_everywhere(lab, ref, pulled)
        say("reading every blob back out of containerd ...")
        check_images(lab, pulled)
        run_container(lab.nodes[0], ref)
        result, problems = measure(lab, containerd, pulled)
        print_table(result, lab, pulled)
        say("stopping everything ...")
    write_result(out, result)
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if problems else 0


def say(text):
    print(text, flush=True)


def mib(size):
    return f"{size / MIB:.1f}"


def start(lab, options, containerd, pulled):
    registry = lab.add_registry()
    lab.add_services(trackers=2, seeders=2, rate=options.rate)
    for number in range(1, options.nodes + 1):
        lab.add_node(f"node{number}", containerd, rate=options.rate)
    started = time.monotonic()
    lab.start()
    say(f"started a registry, 2 trackers, 2 seeders and {options.nodes} nodes with containerd "
        f"{containerd.version} in {time.monotonic() - started:.1f} s")
    say(f"upload and download limit of each: {options.rate} (the programs' default is 50MiB/s)")
    registry.push(pulled, REPOSITORY, "1")
    sizes = ", ".join(mib(layer.size) + (" (zstd)" if layer.media_type == image.ZSTD else "")
                      for layer in pulled.layers)
    say(f"pushed {REPOSITORY}: {len(pulled.layers)} layers of {sizes} MiB, "
        f"{mib(pulled.layer_bytes)} MiB in all")


def pull_everywhere(lab, ref, pulled):
    """Pulls on all nodes at the same moment, and shows how far each is."""
    say(f"pulling {ref} on all nodes ...")
    started = time.monotonic()
    pulls = {node: node.start_pull(ref) for node in lab.nodes}
    display = Display(lab.nodes, pulled.layer_bytes, started)
    while any(node.pull_seconds is None for node in lab.nodes):
        for node, pull in pulls.items():
            code = pull.poll()
            if code is None or node.pull_seconds is not None:
                continue
            if code != 0:
                raise LabError(f"{node.name}: the pull failed:\n{pull.log_tail()}")
            node.pull_seconds = time.monotonic() - started
        if time.monotonic() - started > PULL_SECONDS:
            raise LabError(f"no end of the pulls after {PULL_SECONDS} s; logs are in {lab.logs}")
        display.show()
        time.sleep(0.02)
    display.show(last=True)


class Display:
    """A line for each node: redrawn on a terminal, repeated now and then elsewhere."""

    def __init__(self, nodes, total, started):
        self._nodes = nodes
        self._total = total
        self._started = started
        self._terminal = sys.stdout.isatty()
        self._interval = _REDRAW_SECONDS if self._terminal else _PLAIN_SECONDS
        self._next = 0.0
        self._drawn = False

    def show(self, last=False):
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + self._interval
        if self._terminal and self._drawn:
            print(f"\x1b[{len(self._nodes)}F", end="")
        self._drawn = True
        for node in self._nodes:
            end = "\x1b[K\n" if self._terminal else "\n"
            print(self._line(node, now), end=end, flush=True)

    def _line(self, node, now):
        peers, seeders = node.received_from()
        share = min(1.0, (peers + seeders) / self._total)
        bar = "#" * round(share * _BAR)
        seconds = node.pull_seconds or now - self._started
        state = "done" if node.pull_seconds else ("unpacking" if share == 1.0 else "")
        return (f"  {node.name:<8} [{bar:<{_BAR}}] {share:4.0%}  {mib(peers):>6} MiB from peers "
                f"{mib(seeders):>6} from seeders {seconds:5.1f} s {state}")


def check_images(lab, pulled):
    """Sets node.problems: what is wrong with the image there."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for node, problems in zip(lab.nodes, pool.map(lambda n: n.bad_blobs(pulled), lab.nodes)):
            node.problems = problems


def run_container(node, ref):
    words = "hello from a container of the pulled image"
    try:
        output = node.run_container(ref, ["/bin/echo", words]).strip()
    except LabError as error:
        say(f"container: skipped, this machine does not run one: {error}")
        return
    if output != words:
        raise LabError(f"the container on {node.name} said {output!r} and not {words!r}")
    say(f"container on {node.name}: {output}")


def measure(lab, containerd, pulled):
    """The result and what is wrong with it. Three sources that must agree: the registry's access
    log, the plugins' metrics and the image's manifest."""
    gets = lab.registry.blob_gets(pulled.layer_digests)
    result = {
        "containerd": containerd.version,
        "layers": len(pulled.layers),
        "layer_bytes": pulled.layer_bytes,
        "registry_layer_gets": len(gets),
        "registry_layer_bytes": sum(get.body_bytes for get in gets),
        "nodes": [],
    }
    problems = [problem for node in lab.nodes for problem in node.problems]
    for node in lab.nodes:
        by_node = [get for get in gets if get.client == node.host.address]
        entry = {
            "name": node.name,
            "pull_seconds": round(node.pull_seconds, 3),
            "p2p_bytes": node.p2p_bytes(),
            "fallback_layers": node.fallback_layers(),
            "registry_gets_by_node": len(by_node),
            "image_ok": not node.problems,
        }
        result["nodes"].append(entry)
        node.registry_bytes = sum(get.body_bytes for get in by_node)
        node.received = node.received_from()
        if sum(node.received) < entry["p2p_bytes"]:
            problems.append(f"{node.name}: {entry['p2p_bytes']} bytes by P2P, but the sidecar "
                            f"received {sum(node.received)} only")
        if entry["p2p_bytes"] + node.registry_bytes != pulled.layer_bytes:
            problems.append(f"{node.name}: {entry['p2p_bytes']} bytes by P2P and "
                            f"{node.registry_bytes} from the registry are not the image's "
                            f"{pulled.layer_bytes}")
        if entry["fallback_layers"] != entry["registry_gets_by_node"]:
            problems.append(f"{node.name}: {entry['fallback_layers']} layers fell back, but the "
                            f"registry saw {entry['registry_gets_by_node']} GETs of it")
    for layer in pulled.layers:
        count = sum(get.blob == layer.digest for get in gets)
        if count != 1:
            problems.append(f"layer {layer.digest} left the registry {count} times")
    if result["registry_layer_bytes"] != pulled.layer_bytes:
        problems.append(f"{result['registry_layer_bytes']} layer bytes left the registry and not "
                        f"{pulled.layer_bytes}")
    return result, problems


def print_table(result, lab, pulled):
    print(f"\n{'node':<8} {'pull':>8} {'peers':>9} {'seeders':>9} {'registry':>9}  image")
    for entry, node in zip(result["nodes"], lab.nodes):
        peers, seeders = node.received
        print(f"{entry['name']:<8} {entry['pull_seconds']:>6.2f} s {mib(peers):>5} MiB "
              f"{mib(seeders):>5} MiB {mib(node.registry_bytes):>5} MiB  "
              f"{'whole' if entry['image_ok'] else 'BROKEN'}")
    print("(peers and seeders: payload received, blocks that came twice included)")
    print(f"registry: {result['registry_layer_gets']} GETs for {result['layers']} layers, "
          f"{mib(result['registry_layer_bytes'])} of {mib(pulled.layer_bytes)} MiB for "
          f"{len(result['nodes'])} nodes", flush=True)


def write_result(out, result):
    path = out / "result.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    say(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
