"""Plays the part of systemd for one node's plugin, since systemd is not PID 1 in the lab: holds the
listening socket, hands it to each life of the plugin (LISTEN_FDS) and, when asked to, puts the
plugin into the mounts, the capabilities and the system calls of its unit file."""

import pathlib
import socket
import sys

from .process import Process

_LAUNCHER = pathlib.Path(__file__).parent / "unit_launcher.py"
UNIT = pathlib.Path(__file__).resolve().parents[2] / "packaging/systemd/eagle-plugin.service"


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
        # The unit's paths are a host's; the node's own stand for them.
        paths = [f"/var/lib/containerd={node.root}", f"/var/lib/eagle={state}"]
        argv = [sys.executable, _LAUNCHER, "--listen", self.socket.fileno()]
        if confined:
            argv += ["--unit", UNIT, *(f"--path={path}" for path in paths)]
        node.plugin = Process(f"{node.name}/plugin",
                              [*argv, "--", program, "--config", node.folder / "plugin.yaml"],
                              lab.logs / f"{node.name}-plugin.log", node.host,
                              pass_fds=(self.socket.fileno(),))

    def close(self):
        """What `systemctl stop eagle-plugin.socket` does."""
        self.socket.close()
        self._node.plugin_socket.unlink(missing_ok=True)
