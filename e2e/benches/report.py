"""What a benchmark hands over: every raw run, the metrics made of them, and what each must reach."""

import dataclasses
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess


@dataclasses.dataclass(frozen=True)
class Target:
    """What a metric must reach and aims at; None where it is only reported. Small is good unless
    `at_least`."""

    must: float | None = None
    aim: float | None = None
    at_least: bool = False

    def verdict(self, value):
        if self.must is None:
            return "reported"
        if not self._reached(value, self.must):
            return "MISSED"
        return "aim" if self.aim is not None and self._reached(value, self.aim) else "reached"

    def _reached(self, value, wanted):
        return value >= wanted if self.at_least else value <= wanted


class Report:
    """Collects one benchmark. Nothing is thrown away: a metric is a median of runs that are all in
    the file."""

    def __init__(self, name, targets, repository):
        self.name = name
        self._targets = targets
        self._repository = repository
        self._runs = []
        self._metrics = {}
        self._notes = {}

    def run(self, what, **values):
        """Keeps a raw run and shows it."""
        entry = {"what": what, **values}
        self._runs.append(entry)
        shown = "  ".join(f"{key}={_short(value)}" for key, value in values.items())
        print(f"  {what:<34} {shown}", flush=True)
        return entry

    def median(self, metric, values, note=""):
        """Sets a metric to the median of `values`, at least three unless they are counts."""
        values = list(values)
        self.value(metric, statistics.median(values),
                   f"{note}{' ' if note else ''}[{_short(min(values))} .. {_short(max(values))}]")

    def value(self, metric, value, note=""):
        self._metrics[metric] = value
        self._notes[metric] = note

    def missed(self):
        return [metric for metric, value in self._metrics.items()
                if self._target(metric).verdict(value) == "MISSED"]

    def write(self, folder):
        """<folder>/<name>.json and the table on the terminal."""
        path = pathlib.Path(folder) / f"{self.name}.json"
        path.write_text(json.dumps({
            "name": self.name, "commit": _commit(self._repository), "machine": machine(),
            "metrics": self._metrics, "runs": self._runs}, indent=1) + "\n")
        print(f"\n{self.name:<26} {'value':>10} {'must':>8} {'aim':>8}")
        for metric, value in self._metrics.items():
            target = self._target(metric)
            print(f"{metric:<26} {_short(value):>10} {_wanted(target.must, target):>8} "
                  f"{_wanted(target.aim, target):>8}  {target.verdict(value):<8} "
                  f"{self._notes[metric]}")
        print(f"wrote {path}", flush=True)

    def _target(self, metric):
        return self._targets.get(metric, Target())


def machine():
    """What has to be known to judge a figure."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {"cpu": cpu[1] if cpu else platform.machine(), "cores": os.cpu_count(),
            "memory_mib": int(memory[1]) // 1024, "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2)}


def _commit(repository):
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", repository, "describe",
                           "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _short(value):
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _wanted(value, target):
    return "-" if value is None else f"{'>=' if target.at_least else '<='} {value:g}"
