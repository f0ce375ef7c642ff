"""A camera of pure noise behind a wire that is narrow, lossy or changing, and what its viewers saw."""

import json
import random
import time

from .case import Case
from .network import Network
from .nodes import DOMAIN, Node, Server, Viewer

WIDTH, HEIGHT = 320, 240
PICTURES = 25
# No stall may be longer than this, beyond an outage itself.
LONGEST_STALL_MS = 1000

def noise():
    """A table that turns even random bytes into a camera's noise around mid grey, sigma about 1.5."""
    chances = [(124, 1), (125, 8), (126, 28), (127, 56), (128, 70), (129, 56), (130, 28), (131, 8), (132, 1)]
    table = [level for level, count in chances for _ in range(count)]
    return bytes(table[:256])


def clip(path):
    """Pictures of noise alone: some 7 Mbit/s without loss at 25 a second. Returns them."""
    source, table = random.Random(7), noise()
    size = WIDTH * HEIGHT * 3 // 2
    pictures = [source.randbytes(size).translate(table) for _ in range(PICTURES)]
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT))
        for picture in pictures:
            file.write(b"FRAME\n" + picture)
    return pictures


class StreamingCase(Case):

    def scene(self):
        """Server, node and viewers on the net; each path's narrow place is the viewer's port."""
        self.network = Network(self)
        machines = {label: self.network.host(label, last)
                    for label, last in (("s", 10), ("n", 20), ("v", 30), ("w", 40))}
        for machine in machines.values():
            machine.hosts({DOMAIN: "203.0.113.10"})
        self.wire = self.network.core()
        server = Server(self, machines["s"]).start()
        self.pictures = clip(self.folder / "clip.y4m")
        node = Node(self, machines["n"], server, cameras=[
            {"serial": "CAM-1", "source": "file", "path": str(self.folder / "clip.y4m"), "loop": True}])
        node.ready()
        return node, [Viewer(self, machines[label], server, name=name) for label, name in (("v", "anna"), ("w", "ben"))]

    def path(self, label, megabits, loss=0.0):
        # What a home router's queue holds: a tenth of a second, and never less than some packets.
        self.wire.set(label, delay=0.025, loss=loss, rate=megabits * 125_000, queue=max(32_000, megabits * 12_500))

    def watch(self, viewer, seconds, *more, during=None):
        process = viewer.view("CAM-1", "--duration", str(seconds), *more)
        process.wait_for("first picture", 30)
        if during:
            during()
        self.assertEqual(process.wait(seconds + 30), 0, process.text())
        figures = json.loads(process.stats.read_text())
        self.assertEqual(figures["checksum_errors"], 0, figures)
        return process, figures

    def tell(self, name, figures):
        stages = ", ".join(f"{stage} {value['p95_ms']:.0f}" for stage, value in figures["latency"].items() if value)
        self.note(f"{name}: {figures['frames']} pictures, {figures['fps']:.1f} fps, longest gap "
                  f"{figures['longest_gap_ms']} ms, p95 ms: {stages}")

    def exact(self, process):
        """Every picture written is one of the source's."""
        known, size = set(self.pictures), WIDTH * HEIGHT * 3 // 2
        with open(process.picture, "rb") as file:
            while picture := file.read(size):
                self.assertIn(picture, known)

    def cell(self, viewer, megabits, loss, seconds, *more, drop=False):
        """One path; with `drop` it shrinks to a tenth for the middle third. Returns the figures."""
        self.path("v", megabits, loss)

        def shrink():
            time.sleep(seconds / 3)
            self.path("v", megabits / 10, loss)
            time.sleep(seconds / 3)
            self.path("v", megabits, loss)
        process, figures = self.watch(viewer, seconds, *more, during=shrink if drop else None)
        name = f"{megabits} Mbit/s, {loss:.0%} lost, 50 ms" + (", a tenth of it for a while" if drop else "")
        self.tell(f"{name} {' '.join(more)}".rstrip(), figures)
        if "--quality" not in more:
            self.exact(process)
        process.picture.unlink()
        return name, figures
