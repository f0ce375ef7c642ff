"""What the programs cost, measured on the built binaries and held to the budgets."""

import math
import time

from harness import Case, Viewer
from harness.scenes import TwoHomes, one_machine

MB = 1_000_000


class Figures(Case):
    seconds = 240

    def test_an_idle_node(self):
        scene = TwoHomes(self)
        scene.node.ready()
        time.sleep(3)
        before, cpu = scene.a.counters("eth0"), scene.node.process.cpu_seconds()
        span = 100
        time.sleep(span)
        traffic = sum(scene.a.counters("eth0")) - sum(before)
        busy = scene.node.process.cpu_seconds() - cpu
        resident = scene.node.process.resident_bytes()
        self.note(f"idle node: {resident / MB:.1f} MB resident (budget 8), {busy / span * 100:.2f} % of a core")
        self.note(f"heartbeat over TLS: {traffic} bytes in {span} s, {traffic * 86400 / span / MB:.2f} MB a day")
        self.assertLessEqual(resident, 8 * MB)

    def test_memory_for_each_extra_viewer(self):
        machine, server, node = one_machine(self)
        node.ready()
        sizes = []
        for number in range(5):
            process = Viewer(self, machine, server, name=f"viewer-{number}").view("CAM-1", "--duration", "200",
                                                                                 output="/dev/null")
            self.wait_until(lambda: len(node.status()["sessions"]) == number + 1, 20, "no session")
            time.sleep(4)
            self.assertTrue(process.running(), process.text())
            sizes.append(node.process.resident_bytes())
        extra = (sizes[-1] - sizes[0]) / (len(sizes) - 1)
        self.note(f"node with one viewer {sizes[0] / MB:.1f} MB; each extra viewer {extra / MB:.2f} MB (budget 1.5)")
        self.assertLessEqual(extra, 1.5 * MB)

    def test_round_trips_to_the_first_frame(self):
        scene = TwoHomes(self, delay=0.05)
        scene.node.ready()
        figures = scene.viewer.frames(10)
        self.note(f"50 ms one way: first frame after {figures['first_frame_ms']} ms, "
                  f"{figures['round_trips_to_first_frame']} round trips by its own count, "
                  f"{math.ceil(figures['first_frame_ms'] / 100)} by the clock (budget 10)")
        self.assertLessEqual(figures["round_trips_to_first_frame"], 10)
