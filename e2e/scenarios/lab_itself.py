"""The lab leaves nothing behind, however it ends; its readers of logs and metrics read right."""

import os
import pathlib
import signal
import subprocess
import sys
import unittest

from lab.isolation import processes_in
from lab.metrics import Metrics
from lab.process import wait_until
from lab.registry import Request, parse_access_log

from . import case

NEEDS_LAB = False

E2E = pathlib.Path(__file__).resolve().parent.parent


def cgroups_of(run):
    root = pathlib.Path("/sys/fs/cgroup")
    return [*root.glob(run), *root.glob(f"*/{run}")]


@unittest.skipUnless(os.geteuid() == 0, "the lab needs root")
class LeavesNothingTest(unittest.TestCase):
    def setUp(self):
        self.folder = case.options.folder / self._testMethodName
        self.lab = self.start_lab()
        self.read_names(self.lab)
        # Init, the script, the registry, containerd, a shim; the container's namespace is its own.
        self.assertGreaterEqual(len(processes_in(self.namespace)), 5)
        self.assertNotEqual(cgroups_of(self.run_id), [])

    def start_lab(self):
        argv = [sys.executable, "-m", "scenarios.stock_lab", self.folder, case.options.images,
                "/usr/bin/containerd"]
        lab = subprocess.Popen(argv, cwd=E2E, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        self.addCleanup(lab.communicate)
        self.addCleanup(lab.kill)
        return lab

    def read_names(self, lab):
        line = lab.stdout.readline()
        self.assertTrue(line.startswith("eagle-lab-"), line)
        self.run_id, self.namespace = line.split()

    def assert_no_processes(self):
        wait_until(lambda: not processes_in(self.namespace), "its processes to end", seconds=5)

    def assert_nothing_left(self):
        self.assert_no_processes()
        self.assertEqual(cgroups_of(self.run_id), [])
        self.assertNotIn(str(self.folder), pathlib.Path("/proc/self/mountinfo").read_text())
        self.assertEqual([path.name for path in self.folder.iterdir()], ["logs"])

    def test_after_interrupt(self):
        self.lab.send_signal(signal.SIGINT)
        self.assertEqual(self.lab.wait(20), 130, self.lab.stderr.read())
        self.assert_nothing_left()

    def test_after_termination(self):
        self.lab.send_signal(signal.SIGTERM)
        self.assertEqual(self.lab.wait(20), 130, self.lab.stderr.read())
        self.assert_nothing_left()

    def test_after_kill_and_next_start(self):
        self.lab.kill()
        self.lab.wait(20)
        self.assert_no_processes()
        # Only cgroups and files are left: the next lab takes them away.
        first = self.run_id
        second = self.start_lab()
        self.read_names(second)
        self.assertEqual(cgroups_of(first), [])
        second.send_signal(signal.SIGTERM)
        self.assertEqual(second.wait(20), 130, second.stderr.read())
        self.assert_nothing_left()


class ReadersTest(unittest.TestCase):
    def test_access_log_lines_are_found_among_others(self):
        digest = "sha256:" + "0" * 64
        log = ('time="2026-01-01T00:00:00Z" level=info msg="listening on 10.88.0.10:5000"\n'
               f'10.88.0.11 - - [24/Nov/2026:11:30:35 +0000] "GET /v2/a/b/blobs/{digest} HTTP/1.1" '
               '206 4241 "" "eagle-seeder/0.1"\n'
               '10.88.0.12 - - [24/Nov/2026:11:30:35 +0000] "HEAD /v2/a/manifests/1?ns=x HTTP/1.1" '
               '404 157 "" "containerd/1.6"\n')
        self.assertEqual(parse_access_log(log), [
            Request("10.88.0.11", "GET", f"/v2/a/b/blobs/{digest}", 206, 4241),
            Request("10.88.0.12", "HEAD", "/v2/a/manifests/1", 404, 157)])
        self.assertEqual([request.blob for request in parse_access_log(log)], [digest, None])

    def test_metrics_are_summed_by_labels(self):
        metrics = Metrics('# HELP x_total y\n# TYPE x_total counter\nx_total{a="1",b="\\"q"} 2\n'
                          'x_total{a="2"} 3.5\nz 1e3\n')
        self.assertEqual(metrics.sum("x_total"), 5.5)
        self.assertEqual(metrics.sum("x_total", a="1"), 2)
        self.assertEqual(metrics.sum("x_total", a="3"), 0)
        self.assertEqual(metrics.sum("z"), 1000)
        self.assertEqual(metrics.sum("y"), 0)
