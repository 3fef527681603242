"""unpacking alone, against containerd's own applier on the same blobs

The blob is in the page cache of both, containerd has it in its built-in store and applies it by its
own diff service; each unpacks into an empty overlay on one journalled ext4, in turn.
"""

import json
import os
import subprocess

from lab import image
from lab.process import LabError

from .report import Target

_TREE = ("/usr/share/perl", "/usr/lib/python3", "/usr/lib/git-core", "/usr/share/doc")
MIB = 1 << 20
KINDS = {
    # Programs and text of this machine, as in an image of a distribution.
    "gzip": image.TreeLayer("tree", _TREE, "gzip-6"),
    "zstd": image.TreeLayer("tree", _TREE, "zstd"),
    "plain": image.TreeLayer("tree", _TREE, "none"),
    "small": image.GeneratedLayer("small", 50_000, 1024, 4096, "gzip-6"),
    "large": image.GeneratedLayer("large", 5, 100 * MIB, 100 * MIB, "gzip-6"),
}
TARGETS = {f"{kind}_over_containerd": Target(0.5, 0.3) for kind in KINDS}


def measure(bench, report):
    for kind, spec in KINDS.items():
        built = image.build(bench.images, [spec])
        ratios = [run["ratio"] for run in measure_kind(bench, report, kind, built.layers[0], built)]
        report.median(f"{kind}_over_containerd", ratios)


def measure_kind(bench, report, kind, layer, built):
    folder = bench.folder / kind
    folder.mkdir()
    done = subprocess.run(
        [bench.programs / "eagle-e2e-apply", built.path_of(layer.digest), folder, str(bench.runs)],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, **bench.containerd.env, "TMPDIR": "/run",
             "EAGLE_CONTAINERD": str(bench.containerd.program)})
    if done.returncode != 0:
        raise LabError(f"eagle-e2e-apply: {done.stderr.strip()}")
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    return [report.run(kind, eagle_s=ours["seconds"], containerd_s=theirs["seconds"],
                       ratio=ours["seconds"] / theirs["seconds"], eagle_cpu_s=ours["cpu_seconds"],
                       containerd_cpu_s=theirs["cpu_seconds"],
                       plain_mb=ours["plain_bytes"] / 1e6)
            for ours, theirs in zip(runs[::2], runs[1::2])]
