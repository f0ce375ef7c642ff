"""`edge demo`: all three programs on one machine with one command, ending with a picture and a table."""

import os
import pathlib
import re

from harness import Case
from harness.case import PROGRAMS, ROOT

ARM64 = ROOT / "Firmware" / "out" / "edge-arm64"


class Demo(Case):
    seconds = 150
    needs_root = False

    def demo(self, command, seconds):
        environment = dict(os.environ, HOME=str(self.folder), PATH=f"{PROGRAMS['edge'].parent}:{os.environ['PATH']}")
        done = self.complete(command, timeout=seconds, cwd=self.folder, env=environment)
        told = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, told)
        named = re.findall(r"[\w./-]+\.png", told)
        self.assertTrue(named, f"no picture is named:\n{told}")
        picture = self.folder / pathlib.Path(named[-1])
        self.assertEqual(picture.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        return told

    def test_the_demo_ends_with_a_picture(self):
        self.demo([self.program("edge"), "demo"], 90)

    def test_the_demo_of_the_arm64_firmware_ends_with_a_picture(self):
        self.program("edge-rendezvous")
        self.assertTrue(ARM64.exists(), f"{ARM64} was not built; `make firmware` builds it")
        self.demo(["qemu-aarch64-static", str(ARM64), "demo"], 120)
