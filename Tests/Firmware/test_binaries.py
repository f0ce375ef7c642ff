"""The stripped, fully static firmware programs in Firmware/out."""

import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "Firmware" / "out"
# 7.5 MB, as Firmware/build counts.
BUDGET_BYTES = 7_500_000
RUN = {"x86_64": [str(OUT / "edge-x86_64")], "arm64": ["qemu-aarch64-static", str(OUT / "edge-arm64")]}
MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "arm64": "AArch64"}


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *arguments], check=True, capture_output=True, text=True,
                          env=dict(os.environ, LC_ALL="C")).stdout


class Binaries(unittest.TestCase):
    def each(self):
        for arch in RUN:
            with self.subTest(arch=arch):
                path = OUT / f"edge-{arch}"
                self.assertTrue(path.exists(), f"{path} was not built")
                yield arch, path

    def test_there_is_no_interpreter_and_no_dynamic_section(self):
        for arch, path in self.each():
            self.assertIn(MACHINES[arch], readelf("--file-header", path))
            self.assertNotRegex(readelf("--program-headers", path), r"\b(INTERP|DYNAMIC)\b")
            self.assertIn("There is no dynamic section", readelf("--dynamic", path))

    def test_symbols_and_debug_information_are_stripped(self):
        for _, path in self.each():
            self.assertNotRegex(readelf("--section-headers", path), r"\.(symtab|debug_\w+)\b")

    def test_the_size_is_within_the_budget(self):
        self.notes = []
        for arch, path in self.each():
            size = path.stat().st_size
            self.notes.append(f"edge-{arch}: {size} of {BUDGET_BYTES} bytes")
            self.assertLessEqual(size, BUDGET_BYTES)

    def test_neither_foundation_nor_the_full_runtime_is_inside(self):
        for _, path in self.each():
            data = path.read_bytes()
            for mark in (b"libFoundation", b"FoundationEssentials", b"NSObject", b"libswiftCore", b"swift_reflectionMirror"):
                self.assertNotIn(mark, data)

    def test_it_tells_its_version(self):
        told = {arch: subprocess.run([*command, "version"], capture_output=True, text=True, timeout=30)
                for arch, command in RUN.items()}
        for arch, done in told.items():
            self.assertEqual(done.returncode, 0, f"{arch}: {done.stderr}")
            self.assertRegex(done.stdout, r"^edge \d+\.\d+")
        self.assertEqual(told["x86_64"].stdout, told["arm64"].stdout)

    def test_wrong_usage_is_told_on_stderr_and_exits_with_64(self):
        for arch, command in RUN.items():
            with self.subTest(arch=arch):
                done = subprocess.run([*command, "no-such-command"], capture_output=True, text=True, timeout=30)
                self.assertEqual(done.returncode, 64, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertIn("no-such-command", done.stderr)
