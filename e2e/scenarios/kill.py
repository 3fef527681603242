"""kill -9 of plugin, sidecar and containerd at random moments of real pulls, round after round on
the same node.

EAGLE_KILL_ROUNDS is the number of rounds (10), EAGLE_KILL_SEED repeats a run (it is printed).
"""

import os
import random
import shutil
import statistics
import time

from lab import image, isolation
from lab.process import LabError, wait_until

from . import case
from .case import LabCase

NEEDS_LAB = True

ROUNDS = int(os.environ.get("EAGLE_KILL_ROUNDS", "10"))
SEED = int(os.environ.get("EAGLE_KILL_SEED", random.SystemRandom().randrange(1 << 32)))

LAYERS, LAYER_BYTES = 4, 2 * image.MIB
# Unpacking the last layer takes a while.
PADDING_BYTES = 64 * image.MIB
# So often, where the plugin unpacks, the kill waits for that.
SHARE_WHILE_UNPACKING = 0.4
LATEST_WHILE_UNPACKING_SECONDS = 0.1
# What sidecar and seeders keep: layers of some rounds, so that what they need memory for is
# bounded.
KEPT = "64MiB"
# The image takes about 2.2 s at this rate, from the registry and from the swarm.
DOWNLOAD_MBIT = 32
LATEST_KILL_SECONDS = 2.4
LONGEST_ABSENCE_SECONDS = 0.4
# A pull that fails is repeated, as the kubelet does (which waits longer in between).
MOST_PULLS, PAUSE_SECONDS = 5, 0.5
PULL_SECONDS = 60
SETTLE_SECONDS = 15
# Of a process between the first and the last third of the rounds.
RSS_GROWTH, RSS_SLACK = 1.5, 16 * image.MIB
# Of the descriptors of a process, beyond what it had after its first round.
FD_SLACK = 24

# Every part dies alone as often as any other, and now and then with others.
VICTIMS = [("plugin",), ("sidecar",), ("containerd",)] * 3 + [("plugin", "sidecar", "containerd")]


class KillTest(LabCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.rss, self.files, self.failed_pulls = {}, {}, 0

    def test_pulls_end_well_whoever_is_killed(self):
        print(f"{ROUNDS} rounds, EAGLE_KILL_SEED={SEED}", flush=True)
        self.lab.add_services(seeder_overrides={"storage": {"limit": KEPT}})
        self.node = self.lab.add_node("node1", self.containerd,
                                      sidecar_overrides={"cache": {"limit": KEPT}},
                                      link={"download_mbit": DOWNLOAD_MBIT})
        self.lab.start()
        victims = []
        for number in range(ROUNDS):
            if not victims:
                victims = self.random.sample(VICTIMS, len(VICTIMS))
            with self.subTest(round=number, seed=SEED):
                self.play_round(number, victims.pop())
        self.check_memory()
        print(f"{self.failed_pulls} pulls failed with their daemon and were repeated")

    def play_round(self, number, victims):
        """One image that nobody has seen, pulled while `victims` are killed."""
        via = self.random.choice(("ctr", "cri"))
        delay = self.random.uniform(0, LATEST_KILL_SECONDS)
        absence = self.random.uniform(0, LONGEST_ABSENCE_SECONDS)
        unpacking = (self.containerd.unpacks_with_plugin and
                     self.random.random() < SHARE_WHILE_UNPACKING)
        self.image = image.build(self.lab.folder / "image", [
            image.SeededLayer(f"{SEED}-{number}-{layer}", LAYER_BYTES,
                              padding=PADDING_BYTES if layer == LAYERS - 1 else 0)
            for layer in range(LAYERS)])
        self.ref = self.push(self.image, f"team/round{number}")
        parts = [getattr(self.node, name) for name in victims]

        start = time.monotonic()
        pull = self.node.start_pull(self.ref, via=via)
        if unpacking:
            wait_until(lambda: self.workers() or pull.poll() is not None, "a worker", PULL_SECONDS,
                       interval=0.005)
            delay = self.random.uniform(0, LATEST_WHILE_UNPACKING_SECONDS)
        time.sleep(delay)
        running = pull.poll() is None
        for part in parts:
            part.crash()
        time.sleep(absence)
        for part in parts:
            part.start()
        pulls = self.finish_pull(pull, via, may_fail=victims != ("sidecar",))
        self.node.wait_ready()
        seconds = time.monotonic() - start

        gets = self.check_round(via, victims)
        print(f"round {number}: {' '.join(victims)} after {delay:.2f} s "
              f"{'of unpacking ' if unpacking else ''}for {absence:.2f} s"
              f"{'' if running else ' (too late)'}, {via}: {pulls} pull(s), {seconds:.1f} s, "
              f"{gets} of {LAYERS} layers by the node from the registry", flush=True)
        self.clean_up_round(via)

    def finish_pull(self, pull, via, may_fail):
        """Waits for the pull and repeats it while it fails; how many it took."""
        for count in range(1, MOST_PULLS + 1):
            if pull.wait(PULL_SECONDS) == 0:
                return count
            self.assertTrue(may_fail, f"nobody but the sidecar was killed: {pull.log_tail()}")
            self.failed_pulls += 1
            time.sleep(PAUSE_SECONDS)
            pull = self.node.start_pull(self.ref, via=via)
        raise LabError(f"{MOST_PULLS} pulls failed: {pull.log_tail()}")

    # What has to be true after each round.

    def check_round(self, via, victims):
        """Returns how many layers the node took from the registry."""
        self.assert_whole(self.node, "k8s.io" if via == "cri" else "default")
        self.check_store()
        self.check_processes()
        by_seeders = [get.blob for get in self.layer_gets(*self.lab.seeders)]
        self.assertEqual(len(by_seeders), len(set(by_seeders)), "a seeder fetched a layer twice")
        by_node = [get.blob for get in self.layer_gets(self.node)]
        if "sidecar" not in victims and "containerd" not in victims:
            self.assertEqual(by_node, [], "the sidecar was there all the time")
        self.assertLessEqual(len(by_node), LAYERS)
        return len(by_node)

    def check_store(self):
        """What the store lists has the bytes that its name says, and nothing is left half."""
        listed = self.node.content_tool("list")
        self.assertEqual(listed.returncode, 0, listed)
        rows = dict(line.split() for line in listed.stdout.splitlines())
        for digest, size in rows.items():
            self.assertEqual(self.hash_of(self.node.blob_path(digest)), digest)
            self.assertEqual(self.node.blob_path(digest).stat().st_size, int(size))
        self.assertLessEqual(self.image.blobs.items(),
                             {digest: int(size) for digest, size in rows.items()}.items())
        wait_until(lambda: not list((self.node.content / "ingest").iterdir()),
                   "all ingests to be gone", SETTLE_SECONDS)

        def idle():
            metrics = self.node.plugin_metrics()
            return all(metrics.sum(f"eagle_plugin_{name}") == 0
                       for name in ("open_streams", "waiting_layers", "ingests"))

        wait_until(idle, "streams, waits and ingests of the plugin to end", SETTLE_SECONDS)

    def check_processes(self):
        """No worker without its plugin, no descriptor of what is gone, no more memory."""
        parts = {"plugin": self.node.plugin, "sidecar": self.node.sidecar}
        wait_until(lambda: not self.workers(orphans=True), "workers of a dead plugin to end",
                   SETTLE_SECONDS)
        for name, part in parts.items():
            wait_until(lambda part=part: not left_over(part.open_files()),
                       f"the {name} to close what is gone", SETTLE_SECONDS)
            count = len(part.open_files())
            first = self.files.setdefault((name, part.pid), count)
            self.assertLessEqual(count, first + FD_SLACK, part.open_files())
        parts |= {seeder.host.name: seeder.process for seeder in self.lab.seeders}
        parts |= {tracker.host.name: tracker.process for tracker in self.lab.trackers}
        for name, part in parts.items():
            self.rss.setdefault(name, []).append(part.rss_bytes())

    def workers(self, orphans=False):
        """Processes that unpack a layer for the plugin, or for one that is dead."""
        own = self.node.plugin.pid
        return [pid for pid, command in isolation.processes().items()
                if "eagle-plugin" in command and pid != own and (parent_of(pid) != own) == orphans]

    def check_memory(self):
        third = max(1, ROUNDS // 3)
        for name, values in self.rss.items():
            first, last = statistics.median(values[:third]), statistics.median(values[-third:])
            print(f"{name}: {first / image.MIB:.0f} MiB in the first rounds, "
                  f"{last / image.MIB:.0f} MiB in the last")
            self.assertLess(last, RSS_GROWTH * first + RSS_SLACK, name)

    def clean_up_round(self, via):
        namespace = "k8s.io" if via == "cri" else "default"
        # A ctr whose containerd was killed leaves its lease, which keeps the blobs for a day.
        for lease in self.node.ctr("leases", "ls", "-q", namespace=namespace).split():
            self.node.ctr("leases", "rm", lease, namespace=namespace)
        self.node.remove(self.ref, namespace)
        shutil.rmtree(self.image.folder)

        def gone():
            listed = self.node.content_tool("list").stdout.split()
            return not set(self.image.blobs) & set(listed)

        wait_until(gone, "the image to leave the store", SETTLE_SECONDS)


def left_over(files):
    """Those that are ingests, or have no name any more."""
    return [path for path in files
            if "/ingest/" in path or (path.startswith("/") and path.endswith("(deleted)"))]


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0
