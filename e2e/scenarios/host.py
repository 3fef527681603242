"""Eagle on a host: a node with images is converted and converted back by the tools that an operator
has (eaglectl, the guard, the fallback), the plugin is replaced under a running pull, and it works
under its unit's own confinement. systemd is not PID 1 here: the lab plays its part
(lab/service_manager.py), and a stand-in for systemctl tells the test what it was asked."""

import dataclasses
import io
import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tarfile
import threading
import time

from lab import image
from lab.process import LabError, wait_until
from lab.service_manager import PluginManager, confine_sidecar

from . import case
from .case import LabCase, wait_pulls

NEEDS_LAB = True

SYSTEMD = pathlib.Path(__file__).resolve().parents[2] / "packaging/systemd"


class Host:
    """What a node has in /etc: its files are below a folder, which the scripts take for a root."""

    def __init__(self, node, lab, containerd):
        self.node, self._lab, self._containerd = node, lab, containerd
        self.root = node.folder / "host"
        self.drop_ins = self.root / "etc/containerd/conf.d"
        self.drop_in = self.drop_ins / "50-eagle.toml"
        self.program = self.root / "usr/local/bin/eagle-plugin"
        self._calls = self.root / "systemctl-calls"
        units = self.root / "etc/systemd/system"
        for folder in (self.drop_ins, units, self.program.parent, self.root / "bin"):
            folder.mkdir(parents=True)
        for unit in ("eagle-plugin.service", "eagle-plugin.socket"):
            shutil.copy(SYSTEMD / unit, units)
        (self.root / "etc/containerd/config.toml").symlink_to(node.folder / "config.toml")
        self.put_program_back()
        systemctl = self.root / "bin/systemctl"
        systemctl.write_text(f"#!/bin/sh\n[ $1 = show ] && echo start-limit-hit\n"
                             f"echo \"$*\" >> {self._calls}\n")
        systemctl.chmod(0o755)

    def put_program_back(self):
        self.program.symlink_to(self._lab.program("plugin"))

    def eaglectl(self, *argv, codes=(0,)):
        """Runs eaglectl on the node; returns what it printed."""
        done = subprocess.run(
            self.node.host.command([self._lab.program("eaglectl"), *argv]),
            capture_output=True, text=True, timeout=60, check=False)
        if done.returncode not in codes:
            raise LabError(f"eaglectl {argv} ended with {done.returncode}: "
                           f"{done.stdout}{done.stderr}")
        return done.stdout

    def look(self):
        return ["--containerd-config", self.node.config, "--containerd", self._containerd.program]

    def doctor(self):
        """The findings by the name of the check; of several, the last."""
        out = self.eaglectl("doctor", "-o", "json", "--plugin-config",
                            self.node.folder / "plugin.yaml", "--sidecar-config",
                            self.node.folder / "sidecar.yaml", *self.look(), codes=(0, 1, 2))
        return {one["check"]: one for one in json.loads(out)["findings"]}

    def render(self):
        target = "2.x" if self._containerd.unpacks_with_plugin else "1.6"
        self.drop_in.write_text(self.eaglectl("config", "render", "--for", target, "--socket",
                                              self.node.plugin_socket, *self.look()))

    def script(self, name):
        """Runs guard.sh or fallback.sh as systemd would; returns what systemctl was asked."""
        self._calls.unlink(missing_ok=True)
        env = {**os.environ, "EAGLE_ROOT": str(self.root), "EAGLE_SETTLE_SECONDS": "0",
               "EAGLE_GUARD": str(SYSTEMD / "guard.sh"),
               "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        subprocess.run(["sh", SYSTEMD / name], env=env, timeout=30, check=True)
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def start_containerd(self):
        """As systemd does: the guard first."""
        self.script("guard.sh")
        self.node.start_containerd(eagle=False, drop_ins=self.drop_ins)
        self.node.wait_ready()

    def restart_containerd(self):
        self.node.stop_containerd()
        self.start_containerd()


class ConvertTest(LabCase):
    def setUp(self):
        super().setUp()
        self.lab.add_services()
        self.node = self.lab.add_node("node1", self.containerd)
        self.host = Host(self.node, self.lab, self.containerd)
        self.lab.start(nodes=False)
        self.ref = self.push(self.image)
        self.other = image.small_image(case.options.images, seed="second")
        self.other_ref = self.push(self.other, "team/other")

    def start_eagle(self):
        self.manager = PluginManager(self.node, self.lab, self.host.program)
        self.addCleanup(self.manager.close)
        self.node.sidecar.start()
        self.node.plugin.start()
        self.node.sidecar.wait_ready_url(self.node.sidecar_url + "/readyz")
        self.node.plugin.wait_ready_url(self.node.plugin_url + "/readyz")

    def check_images(self, store, images):
        """Every image is there and whole, and a container runs; from this store."""
        self.assertEqual(self.host.doctor()["content-store"]["verdict"],
                         "OK" if store == "eagle" else "WARN")
        for ref, one in images.items():
            self.assert_whole(self.node, of=one)
            self.assertEqual(self.node.run_container(ref, ["/bin/echo", store]).strip(), store)
        self.assert_whole(self.node, "k8s.io")
        verified = self.host.eaglectl("store", "verify", "--store", self.node.content)
        self.assertIn(" 0 bad,", verified)

    def test_node_is_converted_and_converted_back_three_times_with_all_images(self):
        host, node = self.host, self.node
        first = {self.ref: self.image}
        both = {**first, self.other_ref: self.other}
        host.start_containerd()
        node.pull(self.ref)
        node.pull(self.ref, via="cri")

        # There: drop-in, plugin, containerd.
        host.render()
        self.start_eagle()
        findings = host.doctor()
        for check in ("containerd-config", "drop-in-version", "content-store", "plugin-socket",
                      "content-root", "one-mount", "sidecar", "sidecar-config", "seeders",
                      "trackers", "p2p"):
            self.assertEqual(findings[check]["verdict"], "OK", findings[check])
        self.assertIn("taken by containerd config dump", findings["containerd-config"]["message"])
        if self.containerd.unpacks_with_plugin:
            self.assertEqual(findings["apply"]["verdict"], "OK", findings["apply"])
        host.restart_containerd()
        self.check_images("eagle", first)
        node.pull(self.other_ref)
        self.assertEqual(self.layer_gets(node, of=self.other), [])
        if self.containerd.unpacks_with_plugin:
            self.assertEqual(node.applied_layers(), len(self.other.layers))

        # Back, as the program is gone; there again, as it is back.
        host.program.unlink()
        host.restart_containerd()
        self.assertFalse(host.drop_in.exists())
        self.check_images("built-in", both)
        host.put_program_back()
        host.restart_containerd()
        self.check_images("eagle", both)

        # Back, as the plugin has failed for good. What systemctl is asked is done.
        asked = host.script("fallback.sh")
        self.assertEqual(asked[1:4], ["show -p Result --value eagle-plugin.service",
                                      "stop eagle-plugin.socket eagle-plugin.service",
                                      "try-restart containerd.service"])
        node.stop_eagle()
        self.manager.close()
        host.restart_containerd()
        self.check_images("built-in", both)
        self.assertEqual(host.doctor()["plugin-socket"]["verdict"], "WARN")
        self.assertEqual(os.listdir(node.content / "ingest"), [])

        # There, by an operator.
        (host.root / "etc/eagle/disabled").unlink()
        self.start_eagle()
        host.restart_containerd()
        self.check_images("eagle", both)


class SwitchTest(LabCase):
    def test_switch_and_rules_change_while_plugin_runs(self):
        images = [image.small_image(case.options.images, seed) for seed in ("one", "two", "three")]
        node, = self.start_lab()
        refs = [self.push(one, f"team/{number}") for number, one in enumerate(images)]

        def eaglectl(*argv):
            return subprocess.run([self.lab.program("eaglectl"), *argv, "--socket",
                                   node.plugin_socket], check=True, timeout=30,
                                  capture_output=True, text=True).stdout

        def pull(number):
            """Digests of the layers that the node had to take from the registry."""
            node.pull(refs[number])
            self.assert_whole(node, of=images[number])
            return {get.blob for get in self.layer_gets(node, of=images[number])}

        pid = node.plugin.pid
        self.assertIn("p2p: off", eaglectl("p2p", "off", "--reason", "incident 7"))
        self.assertEqual(pull(0), set(images[0].layer_digests))
        self.assertEqual(eaglectl("p2p", "on"), "p2p: on\n")
        self.assertEqual(pull(1), set())
        config = node.folder / "plugin.yaml"
        settings = json.loads(config.read_text())
        config.write_text(json.dumps({**settings, "p2p": {"deny": [".*/team/2"]}}))
        self.assertIn("p2p.deny: [] -> ", eaglectl("reload"))
        self.assertEqual(pull(2), set(images[2].layer_digests))
        self.assertEqual((node.plugin.pid, node.plugin.alive()), (pid, True))


class Prober(threading.Thread):
    """Connects to a socket over and over, as many callers would. Counts, and keeps each refusal."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._path, self._ended = str(path), threading.Event()
        self.connections, self.refusals = 0, []

    def run(self):
        while not self._ended.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
                    one.connect(self._path)
                self.connections += 1
            except OSError as error:
                self.refusals.append(str(error))
            time.sleep(0.002)

    def end(self):
        self._ended.set()
        self.join()


class UpgradeTest(LabCase):
    def check(self, via):
        self.image = image.small_image(case.options.images, "crash", layer_size=5 * image.MIB)
        self.lab.add_services()
        node = self.lab.add_node("node1", self.containerd, link={"download_mbit": 50})
        program = node.folder / "eagle-plugin"
        shutil.copy(self.lab.program("plugin"), program)
        manager = PluginManager(node, self.lab, program)
        self.addCleanup(manager.close)
        self.lab.start()
        self.ref = self.push(self.image)
        pull = node.start_pull(self.ref, via=via)
        wait_until(lambda: node.received_bytes() > self.image.layer_bytes / 3, "the first third")
        self.assertIsNone(pull.poll())
        prober = Prober(node.plugin_socket)
        prober.start()

        # In place: beside the old one, then renamed over it; then systemctl restart.
        fresh = program.with_suffix(".new")
        shutil.copy(self.lab.program("plugin"), fresh)
        os.rename(fresh, program)
        self.assertNotEqual(self.running_file(node), os.stat(program).st_ino)
        self.assertEqual(node.plugin.stop(), "")
        answers = []
        call = threading.Thread(target=lambda: answers.append(
            node.content_tool("info", self.image.digest)))
        call.start()
        before = prober.connections
        wait_until(lambda: prober.connections > before + 10, "callers while no plugin runs")
        node.plugin.start()
        call.join()
        failures = wait_pulls(pull)
        prober.end()

        self.assertEqual(prober.refusals, [])
        # Found, or deleted by containerd when its pull ended: an answer either way.
        self.assertIn(answers[0].returncode, (0, 3), answers)
        self.assertEqual(self.running_file(node), os.stat(program).st_ino)
        if failures:
            # A pull inside of containerd sees its stream end; who asked for it tries again, as often
            # as it takes: a containerd that waited a second in the queue fails calls for another.
            self.assertRegex(failures[0], "unavailable|EOF|closing|Cancelling all calls")
            wait_until(lambda: self.try_pull(node, via), "the pull's success", interval=0.5)
        self.assert_whole(node, "k8s.io" if via == "cri" else "default")
        self.assert_no_layer_gets_by(node)
        print(f"{prober.connections} connections, none refused; "
              f"the pull {'was tried again' if failures else 'went on'}")

    def try_pull(self, node, via):
        try:
            node.pull(self.ref, via=via)
        except LabError as error:
            print(f"again: {error}")
            return False
        return True

    @staticmethod
    def running_file(node):
        return os.stat(f"/proc/{node.plugin.pid}/exe").st_ino

    def test_plugin_is_replaced_during_ctr_pull_and_refuses_nobody(self):
        self.check("ctr")

    def test_plugin_is_replaced_during_cri_pull_and_refuses_nobody(self):
        self.check("cri")


@dataclasses.dataclass(frozen=True)
class DemandingLayer:
    """What needs most to be unpacked: foreign owners, set-user-ID, devices, capabilities. Each of
    the unit's capabilities is needed for some of it."""

    name: str = "demanding2"
    size: int = 2 * image.MIB
    compression: str = "gzip"
    busybox: bool = True
    tar_format: int = tarfile.PAX_FORMAT

    def write(self, tar, files):
        self.add(tar, "opt/large", data=bytes(range(256)) * (self.size // 256))
        self.add(tar, "opt/closed", type=tarfile.DIRTYPE, uid=1234, mode=0o500)
        self.add(tar, "opt/closed/file")
        self.add(tar, "opt/owned", uid=1234, gid=4321, mode=0o640)
        self.add(tar, "opt/set-user-id", uid=0, mode=0o4755)
        self.add(tar, "opt/set-group-id", gid=42, mode=0o2755)
        self.add(tar, "opt/capable", pax_headers={
            "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00" + "\x00" * 12})
        self.add(tar, "opt/device", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
        self.add(tar, "opt/disk", type=tarfile.BLKTYPE, devmajor=7, devminor=0, mode=0o660)

    @staticmethod
    def add(tar, name, data=b"x", **fields):
        entry = tarfile.TarInfo(name)
        entry.mode = 0o755
        for field, value in fields.items():
            setattr(entry, field, value)
        entry.size = len(data) if entry.type == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(data) if entry.size else None)


class ConfinedTest(LabCase):
    def test_plugin_links_and_unpacks_and_sidecar_fetches_within_their_units(self):
        specs = [image.SeededLayer("confined", 3 * image.MIB, busybox=True), DemandingLayer()]
        self.image = image.build(case.options.images, specs)
        self.lab.add_services()
        node = self.lab.add_node("node1", self.containerd)
        manager = PluginManager(node, self.lab, self.lab.program("plugin"), confined=True)
        self.addCleanup(manager.close)
        confine_sidecar(node, self.lab)
        self.lab.start()
        self.ref = self.push(self.image)
        self.check_confinement(node)

        node.pull(self.ref)
        self.assert_whole(node)
        self.assert_no_layer_gets_by(node)
        links = node.plugin_metrics().sum("eagle_plugin_hand_overs_total", kind="link")
        self.assertEqual(links, len(self.image.layers), "every layer is one file with two names")
        if self.containerd.unpacks_with_plugin:
            self.assertEqual(node.applied_layers(), len(self.image.layers))
        self.check_tree(node)
        self.assertEqual(node.run_container(self.ref, ["/bin/echo", "ran"]).strip(), "ran")
        # An ordinary upload, and the switch, which is kept in the unit's own state folder.
        node.remove(self.ref)
        eaglectl = self.lab.program("eaglectl")
        for state in ("off", "on"):
            subprocess.run([eaglectl, "p2p", state, "--socket", node.plugin_socket], check=True,
                           timeout=30)

    def check_confinement(self, node):
        status = pathlib.Path(f"/proc/{node.plugin.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        self.assertEqual(bin(int(fields["CapBnd"], 16)).count("1"), 7, fields["CapBnd"])
        self.assertEqual(fields["CapEff"], fields["CapBnd"])
        self.assertEqual(fields["NoNewPrivs"], "1")
        self.assertEqual(fields["Seccomp"], "2")
        mounts = pathlib.Path(f"/proc/{node.plugin.pid}/mountinfo").read_text().splitlines()
        writable = {line.split()[4] for line in mounts if "rw" in line.split()[5].split(",")}
        self.assertIn(str(node.root), writable)
        self.assertNotIn("/", writable)

    def check_tree(self, node):
        """The snapshot that containerd made of the demanding layer has what the layer has."""
        found = [pathlib.Path(folder) for folder, _, files in os.walk(node.root)
                 if "set-user-id" in files]
        self.assertTrue(found)
        for opt in found:
            look = {name: os.lstat(opt / name) for name in os.listdir(opt)}
            self.assertEqual((look["owned"].st_uid, look["owned"].st_gid), (1234, 4321))
            self.assertTrue(look["set-user-id"].st_mode & stat.S_ISUID)
            self.assertTrue(look["set-group-id"].st_mode & stat.S_ISGID)
            self.assertEqual(look["device"].st_rdev, os.makedev(1, 3))
            self.assertTrue(stat.S_ISBLK(look["disk"].st_mode))
            self.assertEqual(os.listdir(opt / "closed"), ["file"])
            self.assertIn("security.capability", os.listxattr(opt / "capable"))
