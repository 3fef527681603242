"""Eagle's services in the lab: trackers and seeders, with the configuration files they run on."""

import dataclasses
import json
import pathlib

from .metrics import read_metrics
from .process import Process

TRACKER_PORT = 6969
TRACKER_METRICS_PORT = 61013
SEEDER_PORT = 55008
SEEDER_BITTORRENT_PORT = 61008
SEEDER_METRICS_PORT = 61012

UNLIMITED = "unlimited"


def write_config(path, settings):
    """Writes settings as a configuration file: JSON is YAML too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=2) + "\n")
    return path


def merged(settings, overrides):
    """Settings with overrides laid over them, map by map."""
    result = dict(settings)
    for key, value in (overrides or {}).items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


@dataclasses.dataclass(frozen=True)
class Services:
    """What nodes and seeders have to know of the lab: gRPC addresses and announce URLs."""

    seeders: list
    trackers: list


class Tracker:
    """eagle-tracker on a host of its own."""

    def __init__(self, lab, host, overrides=None):
        self.host = host
        self.announce_url = f"http://{host.address}:{TRACKER_PORT}/announce"
        self.metrics_url = f"http://{host.address}:{TRACKER_METRICS_PORT}"
        config = write_config(lab.folder / host.name / "tracker.yaml", merged({
            "listen": f"0.0.0.0:{TRACKER_PORT}",
            "announce": {"min_interval": "1s"},
            "metrics": {"listen": f"0.0.0.0:{TRACKER_METRICS_PORT}"},
        }, overrides))
        self.process = Process(host.name, [lab.program("tracker"), "--config", config],
                               lab.logs / f"{host.name}.log", host)

    def start(self):
        self.process.start()
        return self

    def wait_ready(self):
        self.process.wait_ready_url(self.metrics_url + "/readyz")

    def metrics(self):
        return read_metrics(self.metrics_url + "/metrics")


class Seeder:
    """eagle-seeder on a host of its own."""

    def __init__(self, lab, host, services, *, origins, rate=UNLIMITED, overrides=None):
        self.host = host
        self.data = lab.folder / host.name / "data"
        self.metrics_url = f"http://{host.address}:{SEEDER_METRICS_PORT}"
        self.data.mkdir(parents=True, exist_ok=True)
        # Short: the path of a socket has 107 bytes at most.
        self.admin_socket = pathlib.Path("/run") / host.name / "admin.sock"
        self.admin_socket.parent.mkdir(parents=True, exist_ok=True)
        config = write_config(lab.folder / host.name / "seeder.yaml", merged({
            "listen": f"0.0.0.0:{SEEDER_PORT}",
            "admin_listen": f"unix:{self.admin_socket}",
            "data_dir": str(self.data),
            "seeders": services.seeders,
            "self": f"{host.address}:{SEEDER_PORT}",
            "trackers": services.trackers,
            "bittorrent": {"port": SEEDER_BITTORRENT_PORT, "announce_address": host.address,
                           "upload_limit": rate, "download_limit": rate},
            "storage": {"limit": "20GiB"},
            "origins": {name: {"endpoint": url} for name, url in origins.items()},
            "allow_unlisted_origins": False,
            "metrics": {"listen": f"0.0.0.0:{SEEDER_METRICS_PORT}"},
        }, overrides))
        self.process = Process(host.name, [lab.program("seeder"), "--config", config],
                               lab.logs / f"{host.name}.log", host)

    def start(self):
        self.process.start()
        return self

    def wait_ready(self):
        self.process.wait_ready_url(self.metrics_url + "/readyz")

    def metrics(self):
        return read_metrics(self.metrics_url + "/metrics")
