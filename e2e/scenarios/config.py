"""A broken configuration: every program says where, and ends with 2. Needs no lab."""

import subprocess
import unittest

from . import case

NEEDS_LAB = False

PROGRAMS = ("plugin", "sidecar", "seeder", "tracker")


class BadConfigTest(unittest.TestCase):
    def run_with(self, program, text, *flags):
        case.options.folder.mkdir(parents=True, exist_ok=True)
        config = case.options.folder / f"{program}.yaml"
        config.write_text(text)
        argv = [case.options.programs / f"eagle-{program}", "--config", config, *flags]
        return config, subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)

    def check(self, text, line):
        for program in PROGRAMS:
            for flags in ((), ("--check-config",)):
                with self.subTest(program=program, flags=flags):
                    config, done = self.run_with(program, text, *flags)
                    self.assertEqual(done.returncode, 2, done)
                    self.assertIn(f"{config}:{line}:", done.stderr)

    def test_unknown_key(self):
        self.check("\n\nno_such_key: 1\n", 3)

    def test_wrong_type(self):
        self.check("# A comment.\nmetrics: 17\n", 2)

    def test_bad_value(self):
        self.check("log_level: shouting\n", 1)

    def test_broken_syntax(self):
        self.check("metrics: {listen: 'x'\nlisten: [\n", 2)

    def test_missing_file(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                argv = [case.options.programs / f"eagle-{program}", "--config", "/nonexistent.yaml"]
                done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn("/nonexistent.yaml", done.stderr)

    def test_version(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                argv = [case.options.programs / f"eagle-{program}", "--version"]
                done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual(done.returncode, 0, done)
