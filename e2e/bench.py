#!/usr/bin/env python3
"""make bench-<name>: measures real parts and writes <out>/<name>.json.

    python3 e2e/bench.py --bin build/release/bin --out build/bench NAME

NAME is a module of e2e/benches. Figures are ratios of two things run side by side, or counts; a
missed target is shown as MISSED and is no error. Ends with 1 only when something did not work.
"""

import argparse
import dataclasses
import importlib
import os
import pathlib
import sys

from benches.report import Report
from lab import disk, isolation
from lab.containerd import Containerd
from lab.lab import Lab

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
DISK_BYTES = 24 << 30


@dataclasses.dataclass(frozen=True)
class Bench:
    """Where a benchmark works and with what. `folder` lies on a journalled ext4 of its own."""

    programs: pathlib.Path
    folder: pathlib.Path
    images: pathlib.Path
    logs: pathlib.Path
    runs: int
    containerd: Containerd
    containerd_1_6: Containerd

    def lab(self, name):
        """A lab of its own below `folder`; its logs are kept beside the results."""
        return Lab(self.folder / name, self.programs, logs=self.logs / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of the programs")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="for results and logs")
    parser.add_argument("--runs", type=int, default=3, help="of each thing that is measured")
    parser.add_argument("--realtime", action="store_true", help="give everything that is measured "
                        "precedence over the machine's other work (SCHED_RR)")
    parser.add_argument("--containerd", type=pathlib.Path, help="a containerd 2.x",
                        default=REPOSITORY / "build/tools/containerd")
    parser.add_argument("name")
    options = parser.parse_args()
    if not options.containerd.exists():
        sys.exit(f"no containerd at {options.containerd}: run make tools, or name one")
    if options.realtime:
        # Inherited by all that is started; both sides of a ratio have it.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    out = options.out.resolve()
    images = out.parent / "images"
    return isolation.isolated(lambda: measure(options, options.name, out, images), [out, images])


def measure(options, name, out, images):
    module = importlib.import_module(f"benches.{name}")
    print(f"== bench-{name}: {module.__doc__.splitlines()[0]}", flush=True)
    report = Report(name, module.TARGETS, REPOSITORY)
    image, point = out / f"{name}.disk", out / f"{name}.mount"
    folder = disk.journalled_disk(image, point, DISK_BYTES)
    try:
        module.measure(Bench(programs=options.bin.resolve(), folder=folder, images=images,
                             logs=out / "logs" / name, runs=options.runs,
                             containerd=Containerd(options.containerd),
                             containerd_1_6=Containerd("/usr/bin/containerd")), report)
    finally:
        os.chdir("/")
        disk.remove_disk(image, point)
    report.write(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
