#!/usr/bin/env python3
"""Runs one end-to-end scenario on one containerd: what ctest calls.

    python3 e2e/scenario.py --bin build/dev/bin --out build/dev/lab --containerd 1.6 NAME [TEST...]

NAME is a module of e2e/scenarios. Ends with 0 (passed), 1 (failed) or 77 (left out, and says why).
"""

import argparse
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from lab import isolation
from scenarios import case

SKIPPED = 77
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


def find_containerd(which):
    """Path of the containerd that is meant. Exits when it is not there."""
    if which == "1.6":
        if not shutil.which("/usr/bin/containerd"):
            sys.exit("Debian's containerd is missing: apt-get install containerd")
        return "/usr/bin/containerd"
    tools = pathlib.Path(os.environ.get("EAGLE_TOOLS_DIR", REPOSITORY / "build/tools"))
    if (tools / "containerd").exists():
        return tools / "containerd"
    if go_version() >= (1, 26):
        sys.exit(f"containerd 2.x is missing in {tools} though Go is here to install it: "
                 "run make test, or set EAGLE_TOOLS_DIR")
    print(f"LEFT OUT: containerd 2.x (not in {tools}, and no Go >= 1.26 to install it)")
    raise SystemExit(SKIPPED)


def go_version():
    """(1, 26) for Go 1.26.x on PATH; (0, 0) without Go."""
    try:
        text = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True,
                              check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0, 0
    match = re.match(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, type=pathlib.Path, help="folder of the programs")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder for logs and state")
    parser.add_argument("--containerd", choices=("1.6", "2.x"), default="1.6")
    parser.add_argument("--keep", action="store_true", help="keep the nodes' state")
    parser.add_argument("name")
    parser.add_argument("tests", nargs="*", help="as Class.test_name")
    options = parser.parse_args()

    module = importlib.import_module(f"scenarios.{options.name}")
    out = options.out.resolve() / f"{options.name}-{options.containerd}"
    images = options.out.resolve() / "images"
    case.options = case.Options(
        programs=options.bin.resolve(), folder=out, images=images, keep_state=options.keep,
        containerd=find_containerd(options.containerd) if module.NEEDS_LAB else None)

    if hasattr(module, "prepare"):
        module.prepare(images)

    def run():
        loader = unittest.defaultTestLoader
        suite = (loader.loadTestsFromNames(options.tests, module) if options.tests
                 else loader.loadTestsFromModule(module))
        runner = unittest.TextTestRunner(verbosity=2, stream=sys.stdout)
        return 0 if runner.run(suite).wasSuccessful() else 1

    return isolation.isolated(run, [out, images]) if module.NEEDS_LAB else run()


if __name__ == "__main__":
    sys.exit(main())
