"""Reads Prometheus' text format."""

import re

from .process import LabError, http_get

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """The series of one answer to GET /metrics."""

    def __init__(self, text):
        self._series = []
        for line in text.splitlines():
            match = _LINE.match(line)
            if match:
                labels = dict(_LABEL.findall(match[2] or ""))
                self._series.append((match[1], labels, float(match[3])))

    def sum(self, name, **labels):
        """Sum of the series of this name that carry these labels; 0 when there are none."""
        return sum(value for series, own, value in self._series
                   if series == name and labels.items() <= own.items())


def read_metrics(url):
    """The metrics that url answers with."""
    body = http_get(url)
    if body is None:
        raise LabError(f"no answer from {url}")
    return Metrics(body.decode())
