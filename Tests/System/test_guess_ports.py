"""Guessing ports: a router that filters by port, and one that takes another port for every peer, without the relay."""

import json

from harness import Case
from harness.scenes import TwoHomes


class Guessing(Case):
    """What tests of it share."""

    seconds = 90

    def attempt(self, a, b):
        """Views for some seconds; returns the figures and what the router of `b` let out."""
        scene = TwoHomes(self, a=a, b=b, relay={"ports": "50000-50099"})
        scene.node.settings["rendezvous"]["guess-ports"] = True
        scene.node.ready()
        figures = {}
        # One try of fifty misses.
        for _ in range(3):
            before = scene.network.wire.counters("rb")["in_frames"], scene.network.wire.counters("ra")["in_frames"]
            process = scene.viewer.view("CAM-1", "--duration", "6", "--guess-ports")
            self.assertEqual(process.wait(40), 0, process.text())
            figures = json.loads(process.stats.read_text())
            self.assertEqual(figures["frames_lost"], 0, figures)
            after = scene.network.wire.counters("rb")["in_frames"], scene.network.wire.counters("ra")["in_frames"]
            self.note(f"{a} x {b}: {figures['path']}, {figures['path_changes']} changes of path, longest gap "
                      f"{figures['longest_gap_ms']} ms; packets of the node's router {after[1] - before[1]}, of the "
                      f"viewer's {after[0] - before[0]}, pictures included")
            if figures["path"] != "relay":
                break
        return figures


class GuessPorts(Guessing):
    def test_a_node_that_keeps_its_port_and_a_viewer_that_does_not(self):
        self.assertIn(self.attempt("masq", "masq_random")["path"], ("srflx", "prflx"))

    def test_without_the_word_of_both_nothing_is_guessed(self):
        scene = TwoHomes(self, a="masq", b="masq_random", relay={"ports": "50000-50099"})
        scene.node.ready()
        before = scene.network.wire.counters("rb")["in_frames"]
        process = scene.viewer.view("CAM-1", "--frames", "20", "--guess-ports")
        self.assertEqual(process.wait(40), 0, process.text())
        figures = json.loads(process.stats.read_text())
        self.assertEqual(figures["path"], "relay")
        self.assertLess(scene.network.wire.counters("rb")["in_frames"] - before, 1000)
