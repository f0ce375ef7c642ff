"""Every machine makes the same streams of the same pictures, and the same pictures of the same streams."""

import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "Firmware" / "out"
PACKAGE = pathlib.Path(__file__).resolve().parent / "Frames"
X86_64 = [str(OUT / "frame-checksums-x86_64")]
ARM64 = ["qemu-aarch64-static", str(OUT / "frame-checksums-arm64")]


def build():
    """The coder as the firmware has it, in a program that prints checksums."""
    subprocess.run([ROOT / "Firmware" / "build", "--package", PACKAGE, "--product", "frame-checksums"], check=True,
                   timeout=600)


def told(program, *arguments):
    done = subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{program} {arguments}: exit status {done.returncode}: {done.stdout[-400:]}{done.stderr}")
    return done.stdout


def has_avx2():
    return " avx2 " in pathlib.Path("/proc/cpuinfo").read_text()


class Frames(unittest.TestCase):
    seconds = 600

    def test_x86_64_with_and_without_avx2_and_arm64_make_the_same_bytes(self):
        build()
        expected = told(X86_64, "common")
        self.assertEqual(len(expected.splitlines()), 144)
        if has_avx2():
            self.assertEqual(told(X86_64, "v3"), expected)
        self.assertEqual(told(ARM64, "common"), expected)
        kinds = "x86_64, x86_64 with AVX2, arm64" if has_avx2() else "x86_64, arm64 (this processor has no AVX2)"
        self.notes = [f"1,008 pictures, 9 formats: the same streams and pictures on {kinds}"]


if __name__ == "__main__":
    unittest.main()
