"""Hosts as network namespaces on one bridge, with links of a given rate.

The caller's own network namespace is the switch (see isolation.py): it holds the bridge with the
address 10.88.0.1 and so reaches every host directly.
"""

import dataclasses
import ipaddress
import subprocess

_BRIDGE = "lan"
_NETWORK = ipaddress.ip_network("10.88.0.0/16")
_FIRST_HOST = 10


@dataclasses.dataclass(frozen=True)
class Host:
    """A machine of the lab: a name (at most 15 characters) and an address."""

    name: str
    address: str

    def command(self, argv):
        """What to execute so that argv runs on this host. The PID stays the same."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *map(str, argv)]


class Network:
    """Makes hosts. Their processes have to be gone before close()."""

    def __init__(self):
        self.gateway = str(_NETWORK[1])
        self.hosts = []
        _ip("link", "set", "lo", "up")
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{self.gateway}/{_NETWORK.prefixlen}", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")

    def close(self):
        for host in self.hosts:
            _ip("netns", "del", host.name)
            # The other end of the cable may outlive the namespace for a moment.
            subprocess.run(["ip", "link", "del", host.name], check=False, capture_output=True)
        _ip("link", "del", _BRIDGE)

    def add_host(self, name, upload_mbit=None, download_mbit=None):
        """A host with a link that carries so many Mbit/s each way; None is no limit."""
        host = Host(name, str(_NETWORK[_FIRST_HOST + len(self.hosts)]))
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", name, "master", _BRIDGE, "up")
        _ip("-n", name, "addr", "add", f"{host.address}/{_NETWORK.prefixlen}", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        self.hosts.append(host)
        self.shape(host, upload_mbit, download_mbit)
        return host

    def shape(self, host, upload_mbit=None, download_mbit=None):
        """Changes the rates of a host's link."""
        _limit(["-n", host.name], "eth0", upload_mbit)
        _limit([], host.name, download_mbit)

    def cut(self, host):
        """Takes the host's cable out: packets to and from it vanish."""
        _ip("link", "set", host.name, "nomaster")

    def mend(self, host):
        """Puts the cable back."""
        _ip("link", "set", host.name, "master", _BRIDGE)


def _ip(*args):
    _run(["ip", *args])


def _limit(where, device, mbit):
    subprocess.run(["tc", *where, "qdisc", "del", "dev", device, "root"], check=False,
                   capture_output=True)
    if mbit is None:
        return
    tc = ["tc", *where]
    # The host's egress is shaped on its own end, its ingress on the bridge's end: no ifb needed.
    _run([*tc, "qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "1"])
    _run([*tc, "class", "add", "dev", device, "parent", "1:", "classid", "1:1", "htb", "rate",
          f"{mbit}mbit", "burst", "64k", "cburst", "64k"])
    _run([*tc, "qdisc", "add", "dev", device, "parent", "1:1", "pfifo", "limit", "300"])


def _run(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
