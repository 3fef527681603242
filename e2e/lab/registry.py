"""The origin: a real docker-registry whose access log is read."""

import dataclasses
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request

from .process import LabError, Process, wait_until

NAME = "registry.lab"
PORT = 5000

_ACCESS = re.compile(r'(\S+) - \S+ \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d{3}) (\d+)')
_BLOB = re.compile(r"/v2/(?P<repository>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})$")

_CONFIG = """\
version: 0.1
log:
  level: info
  accesslog:
    disabled: false
storage:
  filesystem:
    rootdirectory: {root}
http:
  addr: {address}:{port}
"""


@dataclasses.dataclass(frozen=True)
class Request:
    """One line of the access log."""

    client: str
    method: str
    path: str
    status: int
    body_bytes: int

    @property
    def blob(self):
        """Digest of the blob it is about, or None."""
        match = _BLOB.match(self.path)
        return match["digest"] if match else None


def parse_access_log(text):
    """The requests in a log of docker-registry, which mixes other lines in."""
    requests = []
    for line in text.splitlines():
        match = _ACCESS.match(line)
        if match:
            path = urllib.parse.urlsplit(match[3]).path
            requests.append(Request(match[1], match[2], path, int(match[4]), int(match[5])))
    return requests


class Registry:
    """docker-registry on a host, its storage in `folder`."""

    def __init__(self, host, folder, log):
        program = shutil.which("docker-registry")
        if not program:
            raise LabError("docker-registry is missing: apt-get install docker-registry")
        self.host = host
        self.address = f"{host.address}:{PORT}"
        self.url = f"http://{self.address}"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "config.yml"
        config.write_text(_CONFIG.format(root=folder / "storage", address=host.address, port=PORT))
        self._probes = 0
        self.process = Process("registry", [program, "serve", config], log, host)

    def start(self):
        self.process.start().wait_ready_url(self.url + "/v2/")
        return self

    def stop(self):
        self.process.stop()

    def push(self, image, repository, tag):
        """Uploads an image (see image.py); blobs that are there are left out."""
        for descriptor in [*image.layers, image.config]:
            self._push_blob(repository, descriptor, image.path_of(descriptor.digest))
        self._send("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest,
                   {"Content-Type": image.manifest_media_type})

    def requests(self):
        """Everything that the registry was asked so far, in the order of the answers' ends."""
        # The log lags behind the answers: what was answered before this request is in the log
        # once this request is.
        self._probes += 1
        probe = f"/v2/?probe={self._probes}"
        self._send("GET", probe)
        text = wait_until(lambda: self._log_with(probe), "the registry's access log")
        return [request for request in parse_access_log(text) if request.path != "/v2/"]

    def blob_gets(self, digests, clients=None):
        """Successful GETs of any of these blobs (by any of these client addresses)."""
        wanted = set(digests)
        return [request for request in self.requests()
                if request.method == "GET" and request.blob in wanted and
                request.status in (200, 206) and (clients is None or request.client in clients)]

    def _log_with(self, probe):
        text = self.process.log.read_text(errors="replace")
        return text if f'"GET {probe} ' in text else None

    def _push_blob(self, repository, descriptor, path):
        blob = f"/v2/{repository}/blobs/{descriptor.digest}"
        try:
            self._send("HEAD", blob)
            return
        except LabError:
            pass
        location = self._send("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        separator = "&" if "?" in location else "?"
        with open(path, "rb") as data:
            self._send("PUT", f"{location}{separator}digest={descriptor.digest}", data,
                       {"Content-Type": "application/octet-stream",
                        "Content-Length": str(descriptor.size)})

    def _send(self, method, path, data=None, headers=None):
        url = urllib.parse.urljoin(self.url, path)
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                reply.read()
                return reply
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:300]
            raise LabError(f"registry: {method} {path}: {error.code} {detail}") from None
