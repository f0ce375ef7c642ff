"""How many round trips a connection takes, and how many packets it costs when nothing happens."""

import json
import time

from harness import Case
from harness.scenes import TwoHomes


class ConnectTime(Case):
    seconds = 120

    def test_a_direct_path_takes_at_most_two_and_a_half_round_trips_after_the_answer(self):
        # 25 ms at each end: 50 ms one way between any two.
        scene = TwoHomes(self, delay=0.05)
        scene.node.ready()
        worst = 0
        for attempt in range(3):
            process = scene.viewer.view("CAM-1", "--frames", "3")
            self.assertEqual(process.wait(40), 0, process.text())
            figures = json.loads(process.stats.read_text())
            trips = (figures["path_ms"] - figures["answer_ms"]) / 100
            worst = max(worst, trips)
            self.note(f"path {trips:.2f} round trips after the answer, session open "
                      f"{(figures['open_ms'] - figures['answer_ms']) / 100:.2f}, first frame "
                      f"{figures['first_frame_ms'] / 100:.2f} after the start ({figures['path']})")
            self.assertIn(figures["path"], ("srflx", "prflx"))
        self.assertLessEqual(worst, 2.5)

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
