"""Builds OCI images out of what this machine has, without any network.

An image is a folder in OCI layout (blobs/sha256/<hex>, index.json, oci-layout). Building it again
from the same files gives the same digests; one that is there already is used as it is.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import stat
import subprocess
import tarfile
import zlib

from .process import LabError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

# How a layer may be compressed; plain "gzip" is at level 1, which is quick to make.
_MEDIA_TYPES = {"none": PLAIN, "gzip": GZIP, "gzip-6": GZIP, "zstd": ZSTD}

MIB = 1 << 20
_BUSYBOX = "/bin/busybox"
_APPLETS = ("sh", "echo", "cat", "ls", "sleep", "true", "wc", "sha256sum")
# Few inodes: where ext4 is mounted with "discard" the lab would take minutes to delete many.
_SMALLEST_FILE, _LARGEST_FILE = 64 * 1024, 32 * MIB
_FORMAT = 5  # Counted up when the same specification gives other bytes.


@dataclasses.dataclass(frozen=True)
class Descriptor:
    media_type: str
    digest: str
    size: int

    def as_json(self):
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Image:
    """An image in an OCI layout folder."""

    manifest_media_type = MANIFEST

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        index = json.loads((self.folder / "index.json").read_bytes())
        self.digest = index["manifests"][0]["digest"]
        self.manifest = self.path_of(self.digest).read_bytes()
        parsed = json.loads(self.manifest)
        self.config = self._descriptor(parsed["config"])
        self.layers = [self._descriptor(layer) for layer in parsed["layers"]]

    @property
    def layer_digests(self):
        return [layer.digest for layer in self.layers]

    @property
    def layer_bytes(self):
        return sum(layer.size for layer in self.layers)

    @property
    def blobs(self):
        """Digest to size of everything that a node must hold."""
        sizes = {descriptor.digest: descriptor.size for descriptor in [*self.layers, self.config]}
        sizes[self.digest] = len(self.manifest)
        return sizes

    def path_of(self, digest):
        return self.folder / "blobs" / digest.replace(":", "/")

    @staticmethod
    def _descriptor(parsed):
        return Descriptor(parsed["mediaType"], parsed["digest"], parsed["size"])


@dataclasses.dataclass(frozen=True)
class SeededLayer:
    """Incompressible bytes that are a function of the seed, and `padding` bytes that compress to
    nearly nothing: quick to move, slow to unpack."""

    name: str
    size: int
    compression: str = "gzip"
    busybox: bool = False
    padding: int = 0

    def write(self, tar, files):
        data = random.Random(f"{self.name}/{self.size}").randbytes(self.size)
        _add_bytes(tar, f"opt/{self.name}.bin", data)
        if self.padding:
            _add_bytes(tar, f"opt/{self.name}.pad", data[:4096] * (self.padding // 4096))


@dataclasses.dataclass(frozen=True)
class MachineLayer:
    """The next files of this machine, until they are `size` bytes."""

    name: str
    size: int
    compression: str = "gzip"
    busybox: bool = False

    def write(self, tar, files):
        total = 0
        while total < self.size:
            path = next(files, None)
            if path is None:
                raise LabError(f"not enough files in {', '.join(_ROOTS)} for layer {self.name}")
            total += _add_file(tar, f"opt/{self.name}{path}", path)


@dataclasses.dataclass(frozen=True)
class GeneratedLayer:
    """So many files of a size between the two, in folders of 200. Half of the bytes are random, in
    stretches of 512, the others are zero."""

    name: str
    files: int
    smallest: int
    largest: int
    compression: str = "gzip"
    busybox: bool = False

    def write(self, tar, files):
        source = random.Random(self.name)
        for number in range(self.files):
            stretches = source.randint(self.smallest, self.largest) // 1024
            data = b"".join(source.randbytes(512) + bytes(512) for _ in range(stretches))
            _add_bytes(tar, f"opt/{self.name}/{number // 200}/{number}", data)


@dataclasses.dataclass(frozen=True)
class TreeLayer:
    """These folders of this machine as they are: files of any size, folders, links."""

    name: str
    roots: tuple
    compression: str = "gzip"
    busybox: bool = False

    def write(self, tar, files):
        for root in self.roots:
            tar.add(root, filter=_public)


@dataclasses.dataclass(frozen=True)
class TarLayer:
    """The entries of a tar file as they are."""

    name: str
    path: str
    compression: str = "gzip"
    busybox: bool = False

    def write(self, tar, files):
        with tarfile.open(self.path) as source:
            for entry in source:
                tar.addfile(entry, source.extractfile(entry) if entry.isreg() else None)


@dataclasses.dataclass(frozen=True)
class WhiteoutLayer:
    """Removes these paths of the layers below, empties these folders and puts a file in each."""

    name: str
    removed: tuple
    emptied: tuple
    compression: str = "gzip"
    busybox: bool = False

    def write(self, tar, files):
        for path in self.removed:
            folder, _, name = path.rpartition("/")
            _add_bytes(tar, f"{folder}/.wh.{name}", b"")
        for folder in self.emptied:
            _add_bytes(tar, f"{folder}/.wh..wh..opq", b"")
            _add_bytes(tar, f"{folder}/left-alone", b"left alone\n")


def small_image(cache, seed="small", layers=3, layer_size=3 * MIB, zstd_layer=None):
    """A few MiB of seeded bytes and a busybox to run: for tests."""
    specs = [SeededLayer(f"{seed}-{i}", layer_size + i * 64 * 1024,
                         "zstd" if i == zstd_layer else "gzip", busybox=i == 0)
             for i in range(layers)]
    return build(cache, specs)


# Six layers, compressed from about 2 to 150 MiB.
DEMO_LAYERS = (
    MachineLayer("base", 4 * MIB, busybox=True),
    MachineLayer("small", 16 * MIB),
    MachineLayer("medium", 48 * MIB),
    MachineLayer("zstandard", 128 * MIB, "zstd"),
    MachineLayer("large", 192 * MIB),
    MachineLayer("huge", 400 * MIB),
)
_ROOTS = ("/usr/share", "/usr/bin", "/usr/lib")


def demo_image(cache):
    """Real files of this machine in six layers."""
    return build(cache, DEMO_LAYERS)


def build(cache, specs):
    """Builds an image of these layers below `cache`, unless it is there."""
    identity = f"{_FORMAT} {list(map(repr, specs))}"
    folder = pathlib.Path(cache) / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if (folder / "index.json").exists():
        return Image(folder)
    # Another run may build the same: each in a folder of its own, the first rename wins.
    scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "blobs/sha256").mkdir(parents=True)
    _write_image(scratch, specs)
    try:
        scratch.rename(folder)
    except OSError:
        shutil.rmtree(scratch)
    return Image(folder)


def _write_image(folder, specs):
    layers, diff_ids = [], []
    files = _machine_files()
    for spec in specs:
        descriptor, diff_id = _write_layer(folder, spec, files)
        layers.append(descriptor)
        diff_ids.append(diff_id)
    config = _write_blob(folder, CONFIG, _json({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": spec.name} for spec in specs],
    }))
    manifest = _write_blob(folder, MANIFEST, _json({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2,
                                               "manifests": [manifest.as_json()]}))


def _write_layer(folder, spec, files):
    """Writes one layer; returns its descriptor and the digest of the plain tar."""
    scratch = folder / "layer"
    with _compressor(spec.compression, scratch) as compressor:
        plain = _Hashing(compressor)
        tar_format = getattr(spec, "tar_format", tarfile.GNU_FORMAT)
        with tarfile.open(fileobj=plain, mode="w|", format=tar_format, bufsize=MIB) as tar:
            if spec.busybox:
                _add_busybox(tar)
            spec.write(tar, files)
    digest = _hash_file(scratch)
    size = scratch.stat().st_size
    scratch.rename(folder / "blobs" / digest.replace(":", "/"))
    return Descriptor(_MEDIA_TYPES[spec.compression], digest, size), plain.digest()


class _Hashing:
    """A sink that hashes what it passes on."""

    def __init__(self, sink):
        self._sink = sink
        self._hash = hashlib.sha256()

    def write(self, data):
        self._hash.update(data)
        self._sink.write(data)
        return len(data)

    def digest(self):
        return "sha256:" + self._hash.hexdigest()


class _Gzip:
    def __init__(self, out, level):
        self._out = out
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, 31)

    def write(self, data):
        self._out.write(self._compressor.compress(data))

    def close(self):
        self._out.write(self._compressor.flush())


@contextlib.contextmanager
def _compressor(kind, path):
    with open(path, "wb") as out:
        if kind == "none":
            yield out
            return
        if kind.startswith("gzip"):
            gzip = _Gzip(out, 6 if kind == "gzip-6" else 1)
            yield gzip
            gzip.close()
            return
        zstd = subprocess.Popen(["zstd", "-3", "-q", "-c", "--single-thread"],
                                stdin=subprocess.PIPE, stdout=out)
        with zstd.stdin:
            yield zstd.stdin
        if zstd.wait() != 0:
            raise LabError("zstd failed")


def _machine_files():
    """Plain files in a fixed order."""
    for root in _ROOTS:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                # Readable by all: nothing of this machine that is secret gets into an image.
                if (stat.S_ISREG(status.st_mode) and status.st_mode & 0o004 and
                        _SMALLEST_FILE <= status.st_size <= _LARGEST_FILE):
                    yield path


def _public(entry):
    """Leaves out what not everybody may read."""
    return entry if entry.issym() or entry.mode & 0o004 else None


def _add_file(tar, name, path):
    with open(path, "rb") as data:
        status = os.fstat(data.fileno())
        tar.addfile(_entry(name, status.st_size, status.st_mode & 0o755), data)
    return status.st_size


def _add_bytes(tar, name, data, mode=0o644):
    tar.addfile(_entry(name, len(data), mode), io.BytesIO(data))


def _add_busybox(tar):
    if not os.path.exists(_BUSYBOX):
        raise LabError(f"{_BUSYBOX} is missing: apt-get install busybox-static")
    _add_file(tar, "bin/busybox", _BUSYBOX)
    for applet in _APPLETS:
        link = _entry(f"bin/{applet}", 0, 0o777)
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)


def _entry(name, size, mode):
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.size, entry.mode = size, mode
    return entry


def _hash_file(path):
    with open(path, "rb") as data:
        return "sha256:" + hashlib.file_digest(data, "sha256").hexdigest()


def _write_blob(folder, media_type, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    (folder / "blobs" / digest.replace(":", "/")).write_bytes(data)
    return Descriptor(media_type, digest, len(data))


def _json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
