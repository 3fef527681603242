"""A lab without Eagle that runs until it is told to end. Once a container runs it prints the run's
id and PID namespace.

    python3 -m scenarios.stock_lab FOLDER IMAGES CONTAINERD
"""

import os
import pathlib
import sys
import time

from lab import image, isolation
from lab.containerd import Containerd
from lab.lab import Lab


def main():
    folder, images, containerd = map(pathlib.Path, sys.argv[1:])

    def run():
        with Lab(folder, folder) as lab:
            lab.add_registry().start()
            lab.registry.push(image.small_image(images), "team/app", "1")
            node = lab.add_stock_node("node1", Containerd(containerd))
            node.start_containerd(eagle=False)
            node.wait_ready()
            node.pull(lab.ref("team/app"))
            node.start_container(lab.ref("team/app"), ["/bin/sleep", "1000"])
            print(isolation.run_id(), os.readlink("/proc/self/ns/pid"), flush=True)
            time.sleep(300)

    return isolation.isolated(run, [folder, images])


if __name__ == "__main__":
    sys.exit(main())
