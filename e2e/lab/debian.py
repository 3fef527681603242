"""A root file system of Debian as a tar, made by debootstrap from the machine's own package source.

It needs the network, so it is made before a lab starts: `debian_tar()` once, kept for the next time.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

from . import disk
from .process import LabError

_SUITE = "bookworm"
_PACKAGES = ("python3-minimal", "perl", "git")
_SECONDS = 900
_DISK_BYTES = 4 << 30


def debian_tar(folder):
    """Path of the tar below `folder`."""
    path = pathlib.Path(folder) / f"debian-{_SUITE}-{'-'.join(_PACKAGES)}.tar"
    if not path.exists():
        print("making a Debian root file system (kept for the next time) ...", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a mount namespace of its own: debootstrap's mounts and ours end with it.
        argv = ["unshare", "--mount", sys.executable, "-m", "lab.debian", path]
        done = subprocess.run(argv, cwd=pathlib.Path(__file__).parent.parent, capture_output=True,
                              text=True, check=False, timeout=_SECONDS)
        if done.returncode != 0:
            raise LabError(f"no Debian root file system: {done.stderr.strip()[-1000:]}")
    return path


def _make(path):
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    image, point = scratch.with_suffix(".disk"), scratch.with_suffix(".mount")
    try:
        root = disk.journalled_disk(image, point, _DISK_BYTES) / "root"
        _bootstrap(root)
        with tarfile.open(scratch, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(root, ".", filter=_wanted)
        scratch.rename(path)
    finally:
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        image.unlink(missing_ok=True)
        point.rmdir()


def _bootstrap(root):
    if not shutil.which("debootstrap"):
        raise LabError("debootstrap is missing: apt-get install debootstrap")
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, root,
            _package_source()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"debootstrap: {done.stdout[-500:]}{done.stderr[-500:]}")


def _package_source():
    """The first archive in apt's sources."""
    folder = pathlib.Path("/etc/apt")
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if path.is_file():
            match = re.search(r"^(?:URIs:|deb\s+(?:\[[^\]]*\]\s+)?)\s*(https?://\S+)",
                              path.read_text(), re.MULTILINE)
            if match:
                return match[1]
    raise LabError("apt has no package source: see /etc/apt/sources.list")


def _wanted(entry):
    return None if entry.name.endswith(".deb") else entry


if __name__ == "__main__":
    _make(pathlib.Path(sys.argv[1]))
