"""Plays the part of systemd for a node's programs, since systemd is not PID 1 in the lab: holds the
plugin's listening socket, hands it to each life of the plugin (LISTEN_FDS) and, when asked to, puts
a program into the mounts, the capabilities and the system calls of its unit file."""

import pathlib
import socket
import sys

from .process import Process

_LAUNCHER = pathlib.Path(__file__).parent / "unit_launcher.py"
_UNITS = pathlib.Path(__file__).resolve().parents[2] / "packaging/systemd"


def _within_unit(name, paths):
    """Arguments for the launcher; `paths` are a host's, with the node's own that stand for them."""
    return ["--unit", _UNITS / name, *(f"--path={unit}={own}" for unit, own in paths.items())]


class PluginManager:
    """Takes the place of a node's own plugin process: `node.plugin` is started and stopped as ever,
    and serves on this socket. `program` is a path, which may be replaced between two lives."""

    def __init__(self, node, lab, program, confined=False):
        self._node = node
        node.plugin_socket.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(node.plugin_socket))
        node.plugin_socket.chmod(0o600)
        self.socket.listen(4096)
        state = node.folder / "state"
        state.mkdir(exist_ok=True)
        argv = [sys.executable, _LAUNCHER, "--listen", self.socket.fileno()]
        if confined:
            argv += _within_unit("eagle-plugin.service", {"/var/lib/containerd": node.root,
                                                          "/var/lib/eagle": state})
        node.plugin = Process(f"{node.name}/plugin",
                              [*argv, "--", program, "--config", node.folder / "plugin.yaml"],
                              lab.logs / f"{node.name}-plugin.log", node.host,
                              pass_fds=(self.socket.fileno(),))

    def close(self):
        """What `systemctl stop eagle-plugin.socket` does."""
        self.socket.close()
        self._node.plugin_socket.unlink(missing_ok=True)


def confine_sidecar(node, lab):
    """From its next start on the node's sidecar runs within its unit."""
    paths = {"/var/lib/containerd/eagle": node.cache, "/run/eagle/sidecar": node.sockets}
    node.sidecar = Process(f"{node.name}/sidecar",
                           [sys.executable, _LAUNCHER, *_within_unit("eagle-sidecar.service", paths),
                            "--", lab.program("sidecar"), "--config", node.folder / "sidecar.yaml"],
                           lab.logs / f"{node.name}-sidecar.log", node.host)
