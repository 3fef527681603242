"""A file system of its own for a run: ext4 with a journal, as nodes have it."""

import pathlib
import shutil
import subprocess

from . import isolation
from .process import LabError


def journalled_disk(image, mount_point, size_bytes):
    """Makes an ext4 in the sparse file `image` and mounts it; returns the mount point.

    To be called inside of isolation.isolated(): the mount, and with it the loop device, goes with
    the run at the latest. Whoever wants the space back sooner calls remove_disk().
    """
    image, mount_point = pathlib.Path(image), pathlib.Path(mount_point)
    image.unlink(missing_ok=True)
    with open(image, "wb") as out:
        out.truncate(size_bytes)
    mount_point.mkdir(parents=True, exist_ok=True)
    for argv in (["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image],
                 ["mount", "-o", "loop,nodiscard", image, mount_point]):
        if not shutil.which(argv[0]):
            raise LabError(f"{argv[0]} is missing: apt-get install e2fsprogs mount")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"{argv[0]}: {done.stderr.strip()}")
    return mount_point


def remove_disk(image, mount_point):
    isolation.unmount(mount_point)
    pathlib.Path(image).unlink(missing_ok=True)
