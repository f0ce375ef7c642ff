"""Motion detection on ten minutes of pictures: no false alarm, and small things seen."""

import json
import pathlib
import random

from harness import Case

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Motion(Case):
    seconds = 1500
    needs_root = False

    def test_ten_minutes_of_a_still_noisy_scene_are_no_motion_and_a_small_thing_is(self):
        generator = random.Random(3)
        scene = bytearray()
        for y in range(480):
            for x in range(0, 640, 2):
                shade = 40 + (x // 32 * 37 + y // 24 * 53) % 160
                scene += bytes((shade, 128 + (x // 64) % 9, min(235, shade + generator.randrange(6)), 128))
        path = self.folder / "scene.yuyv"
        path.write_bytes(scene)
        for sigma, sensitivity in ((0, 50), (2, 50), (2, 100), (3, 100)):
            done = self.complete([ROOT / ".build" / "release" / "frame-benchmark", path, "YUYV", "640x480", 18000, sigma,
                                  "--motion", sensitivity, "--v3"], timeout=600)
            self.assertEqual(done.returncode, 0, done.stderr)
            figures = json.loads(done.stdout)
            self.assertEqual(figures["false_alarms"], 0, figures)
            self.assertEqual(figures["seen"], figures["passes"], figures)
            self.note(f"motion, 10 minutes at 30 pictures a second, 640x480, noise {sigma}, sensitivity {sensitivity}: "
                      f"{figures['false_alarms']} false alarms; a 24x24 box 40 steps darker seen in "
                      f"{figures['seen']} of {figures['passes']} passes, after {figures['pictures_until_seen']} pictures at "
                      f"most; {figures['ms_each']} ms of a core each, ten a second")
