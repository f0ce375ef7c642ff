"""How many round trips a connection takes, and how many packets it costs when nothing happens."""

import json
import time

from harness import Case
from harness.scenes import TwoHomes


class ConnectTime(Case):
    seconds = 120

    def measure(self, kinds, most, attempts, **options):
        """Views some times and holds the path to `kinds` and the time to it to `most` round trips."""
        # 25 ms at each end: 50 ms one way between any two.
        scene = TwoHomes(self, delay=0.05, **options)
        scene.node.ready()
        # What kind of router it is behind tells the node after two seconds.
        self.wait_until(lambda: (scene.node.status() or {}).get("nat", {}).get("mapping") not in (None, "unknown"), 8,
                        "the node does not know its router")
        worst = 0
        for _ in range(attempts):
            process = scene.viewer.view("CAM-1", "--frames", "3")
            self.assertEqual(process.wait(40), 0, process.text())
            figures = json.loads(process.stats.read_text())
            trips = (figures["path_ms"] - figures["answer_ms"]) / 100
            worst = max(worst, trips)
            self.note(f"path {trips:.2f} round trips after the answer, session open "
                      f"{(figures['open_ms'] - figures['answer_ms']) / 100:.2f}, first frame "
                      f"{figures['first_frame_ms'] / 100:.2f} after the start ({figures['path']})")
            self.assertIn(figures["path"], kinds)
        self.assertLessEqual(worst, most)

    def test_a_direct_path_takes_at_most_two_and_a_half_round_trips_after_the_answer(self):
        self.measure(("srflx", "prflx"), 2.5, attempts=3)

    def test_a_relayed_path_takes_at_most_six_round_trips_after_the_answer(self):
        self.measure(("relay",), 6, attempts=2, a="masq_random", b="masq_random", relay={"ports": "50000-50099"})

    def test_a_node_that_nobody_watches_sends_hardly_a_packet(self):
        scene = TwoHomes(self)
        scene.node.ready()
        # The heartbeat alone, once in 25 s, is three packets of TCP at this end. Log-in, publication and what kind of NAT there is are over by then.
        time.sleep(6)
        before = scene.network.wire.counters("ra")
        time.sleep(30)
        after = scene.network.wire.counters("ra")
        sent = after["in_frames"] - before["in_frames"]
        self.note(f"in 30 s the node's router sent {sent} packets, the heartbeat's acknowledgements included")
        self.assertLessEqual(sent, 7)
