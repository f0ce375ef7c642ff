"""A camera that delivers other pictures than before, while somebody watches."""

import json

from harness import Case, Viewer
from harness.nodes import interrupt
from harness.scenes import one_machine

SIZES = ((64, 48), (128, 96))


def y4m(path, size, pictures):
    """Grey pictures, numbered by their level; the first sample tells the size."""
    width, height = size
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 Cmono\n" % size)
        for number in range(pictures):
            file.write(b"FRAME\n" + bytes([width]) + bytes([number]) * (width * height - 1))


class SourceChange(Case):
    seconds = 120

    def test_a_viewer_goes_on_when_the_camera_changes_its_size(self):
        clips = [self.folder / f"clip{number}.y4m" for number in range(2)]
        for clip, size in zip(clips, SIZES):
            y4m(clip, size, 10)
        source = self.folder / "source.y4m"
        clips[0].rename(source)
        machine, server, node = one_machine(self, cameras=[
            {"serial": "CAM-1", "source": "file", "path": str(source), "loop": True}])
        node.ready()
        viewer = Viewer(self, machine, server)
        process = viewer.view("CAM-1")
        process.wait_for("first picture", 30)
        self.wait_until(lambda: process.picture.stat().st_size > 20 * SIZES[0][0] * SIZES[0][1], 20, "no pictures")
        self.assertEqual(node.health(), [])
        # The next round of the loop is of the other file.
        clips[1].rename(source)
        size = SIZES[1][0] * SIZES[1][1]
        told = self.wait_until(lambda: [text for code, text in node.health() if code == "camera-format-changed"], 20,
                               "no health line")
        self.assertIn("GREY 64x48 25 fps to GREY 128x96 25 fps", told[0])
        before = process.picture.stat().st_size
        self.wait_until(lambda: process.picture.stat().st_size > before + 20 * size, 20, "no pictures of the new size")
        sessions = node.status()["sessions"]
        self.assertEqual([each["frames_dropped"] for each in sessions], [0], sessions)
        self.assertEqual(interrupt(process), 0, process.text())
        # The same call and session all the time, and every picture of either size, one after the other.
        self.assertEqual(process.text().count("calling "), 1, process.text())
        self.assertNotIn("connecting again", process.text())
        figures = json.loads(process.stats.read_text())
        self.assertEqual((figures["frames_lost"], figures["checksum_errors"], figures["size"]), (0, 0, "128x96"), figures)
        raw, seen = process.picture.read_bytes(), []
        while raw:
            width = raw[0]
            height = dict(SIZES)[width]
            seen.append((width, raw[1]))
            raw = raw[width * height:]
        for (_, one), (_, other) in zip(seen, seen[1:]):
            self.assertEqual(other, (one + 1) % 10, seen)
        widths = [width for width, _ in seen]
        self.assertEqual(widths, sorted(widths))
        self.note(f"{widths.count(64)} pictures of 64x48, then {widths.count(128)} of 128x96, none missing: {told[0]}")
