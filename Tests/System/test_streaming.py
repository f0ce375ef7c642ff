"""Streams over narrow, lossy and changing paths: nothing stalls, nothing is wrong, nobody costs another anything."""

import json
import random
import time

from harness import Case, Network, Node, Server, Viewer
from harness.nodes import DOMAIN, interrupt
from harness.scenes import one_machine

WIDTH, HEIGHT = 320, 240
PICTURES = 25


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


class Streaming(Case):
    seconds = 240
    weight = 2

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

    def test_lossless_pictures_over_narrow_and_lossy_paths(self):
        _, (viewer, _) = self.scene()
        for megabits, loss in ((50, 0), (10, 0), (2, 0), (50, 0.01), (10, 0.01), (2, 0.01), (10, 0.05)):
            self.path("v", megabits, loss)
            process, figures = self.watch(viewer, 6)
            self.tell(f"{megabits} Mbit/s, {loss:.0%} lost, 50 ms", figures)
            self.exact(process)
            self.assertGreater(figures["frames"], 7)
            # A lossless picture is large: where loss or width leave room for three a second, one repair is a second.
            self.assertLess(figures["longest_gap_ms"], 2000 if loss or megabits < 10 else 1000, figures)

    def test_a_path_that_shrinks_to_a_tenth_and_grows_again(self):
        _, (viewer, _) = self.scene()
        self.path("v", 10)

        def shrink():
            time.sleep(4)
            self.path("v", 1)
            time.sleep(8)
            self.path("v", 10)
        _, figures = self.watch(viewer, 20, "--quality", "auto", during=shrink)
        self.tell("10 Mbit/s, 1 for 8 s, 10 again", figures)
        self.assertLess(figures["longest_gap_ms"], 2500, figures)
        self.assertGreater(figures["frames"], 100)

    def test_a_slow_viewer_costs_a_fast_one_nothing(self):
        # The fast one is on a path without delay, where a lost picture could only be the slow one's doing.
        node, (fast, slow) = self.scene()
        self.path("w", 1)
        beside = slow.view("CAM-1", "--duration", "30", "--quality", "auto")
        beside.wait_for("first picture", 30)
        _, figures = self.watch(fast, 8)
        self.tell("the fast one", figures)
        self.assertEqual(figures["frames_lost"], 0, figures)
        self.assertGreater(figures["fps"], 23)
        sent = {each["viewer"]: each["rendition"] for each in node.status()["sessions"]}
        self.note(f"the slow one gets: {sent.get('ben')}")
        self.assertEqual(interrupt(beside), 0, beside.text())

    def test_twenty_viewers_of_one_camera(self):
        machine, server, node = one_machine(
            self, cameras=[{"serial": "CAM-1", "source": "testcard", "size": "320x240", "fps": 10}])
        node.ready()
        viewer = Viewer(self, machine, server)
        alone = node.process.resident_bytes()
        first = viewer.view("CAM-1", output="/dev/null")
        first.wait_for("first picture", 30)
        time.sleep(1)
        one = node.process.resident_bytes()
        watching = [first] + [viewer.view("CAM-1", output="/dev/null") for _ in range(19)]
        for process in watching:
            process.wait_for("first picture", 60)
        self.wait_until(lambda: len(node.status()["sessions"]) == 20, 20, "not all twenty are served")
        before, began = node.process.cpu_seconds(), time.monotonic()
        time.sleep(4)
        share = (node.process.cpu_seconds() - before) / (time.monotonic() - began)
        many = node.process.resident_bytes()
        sessions = node.status()["sessions"]
        self.assertTrue(all(each["frames_sent"] > 10 for each in sessions), sessions)
        for process in watching:
            self.assertEqual(interrupt(process), 0, process.text())
        time.sleep(2.5)
        after = node.process.resident_bytes()
        self.note(f"20 viewers: {share:.0%} of a core, {share / 20:.1%} and {(many - one) / 19 / 1024:.0f} KiB each; "
                  f"resident {alone >> 20} MiB idle, {many >> 20} at most, {after >> 20} when all had left")
