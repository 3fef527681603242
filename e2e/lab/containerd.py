"""containerd's programs and configuration, for Debian's 1.6 and for 2.x."""

import os
import pathlib
import re
import shutil
import subprocess

from .process import LabError

_CONFIG_V2 = """\
version = 2
root = "{root}"
state = "{state}"
oom_score = 0
{imports}
{disabled}
[grpc]
  address = "{address}"
{proxy}
[plugins."io.containerd.internal.v1.opt"]
  path = "{scratch}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "{scratch}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{certs}"
"""

_CONFIG_V3 = """\
version = 3
root = "{root}"
state = "{state}"
oom_score = 0
{imports}
{disabled}
[grpc]
  address = "{address}"
{proxy}
[plugins."io.containerd.internal.v1.opt"]
  path = "{scratch}/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{certs}"
[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "{scratch}/cni"
[plugins."io.containerd.transfer.v1.local"]
  config_path = "{certs}"
{unpack}"""

# Eagle in place of the built-in store, exactly as on a real node.
_DISABLED = 'disabled_plugins = ["io.containerd.content.v1.content"]'
_PROXY = """
[proxy_plugins.eagle]
  type = "content"
  address = "{plugin}"
"""
# From 1.7 on a proxy plugin can unpack layers too: for ctr by the diff service, for the transfer
# service (and with it CRI) by its own setting.
_DIFF_PROXY = """
[proxy_plugins.eagle-diff]
  type = "diff"
  address = "{plugin}"
[plugins."io.containerd.service.v1.diff-service"]
  default = ["eagle-diff", "walking"]
"""
_UNPACK = """\
  [[plugins."io.containerd.transfer.v1.local".unpack_config]]
    platform = "linux"
    snapshotter = "{snapshotter}"
    differ = "eagle-diff"
"""

_HOSTS_TOML = 'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


class Containerd:
    """The programs of one containerd: its ctr and shim are those beside it."""

    def __init__(self, program):
        path = shutil.which(str(program))
        if not path:
            raise LabError(f"no containerd at {program}")
        self.program = pathlib.Path(path).resolve()
        folder = self.program.parent
        self.ctr = folder / "ctr"
        for needed in (self.ctr, folder / "containerd-shim-runc-v2"):
            if not needed.exists():
                raise LabError(f"{needed} is missing: it has to be of the same version as "
                               f"{self.program}")
        text = subprocess.run([self.program, "--version"], capture_output=True, text=True,
                              check=True).stdout
        self.version = re.search(r"\bv?(\d+\.\d+\.\d+)", text)[1]
        # 1.6 knows no diff plugins behind a socket.
        self.unpacks_with_plugin = not self.version.startswith("1.")
        self.env = {"PATH": f"{folder}:{os.environ['PATH']}"}

    def config(self, *, root, state, address, scratch, certs, snapshotter, plugin=None,
               drop_ins=None):
        """config.toml; `plugin` is the socket of eagle-plugin, None for a stock node. Files in the
        folder `drop_ins` are imported."""
        template, proxy, unpack = _CONFIG_V2, _PROXY, ""
        if self.unpacks_with_plugin:
            template, proxy, unpack = _CONFIG_V3, _PROXY + _DIFF_PROXY, _UNPACK
        return template.format(
            root=root, state=state, address=address, scratch=scratch, certs=certs,
            snapshotter=snapshotter, disabled=_DISABLED if plugin else "",
            imports=f'imports = ["{drop_ins}/*.toml"]' if drop_ins else "",
            proxy=proxy.format(plugin=plugin) if plugin else "",
            unpack=unpack.format(snapshotter=snapshotter) if plugin else "")


def write_hosts_toml(certs, registry, url):
    """Tells containerd that `registry` (host:port as in an image's name) is reached at `url`."""
    folder = pathlib.Path(certs) / registry
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.toml").write_text(_HOSTS_TOML.format(url=url))


def usable_snapshotter(folder):
    """overlayfs where the folder's file system can hold one, else native."""
    probe = pathlib.Path(folder) / "overlay-probe"
    for name in ("lower", "upper", "work", "merged"):
        (probe / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, probe / "merged"],
                             capture_output=True, check=False).returncode == 0
    if mounted:
        subprocess.run(["umount", probe / "merged"], check=True)
    shutil.rmtree(probe, ignore_errors=True)
    return "overlayfs" if mounted else "native"
