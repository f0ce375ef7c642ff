"""Real networks: node, viewer and server each on their own, with real kernel NAT between them."""

from harness import Case
from harness.nodes import every
from harness.scenes import TwoHomes


class Punching(Case):
    seconds = 120

    def check(self, scene, count=100):
        """Views, and holds the path and where the bytes went to what they must be."""
        scene.node.ready()
        before = scene.server_machine.counters("wan")
        process = scene.viewer.view("CAM-1", "--frames", str(count))
        seen = []
        while process.running():
            sessions = (scene.node.status() or {}).get("sessions", [])
            seen += [(each.get("path"), each.get("remote")) for each in sessions]
        self.assertEqual(process.wait(5), 0, process.text())
        figures = self.figures(process)
        served = sum(after - start for after, start in zip(scene.server_machine.counters("wan"), before))
        self.assertIn(figures["path"], ("srflx", "prflx"))
        self.assertTrue(figures["remote"].startswith("203.0.113.101:"), figures["remote"])
        self.assertTrue(seen, "the node's status never showed the session")
        self.assertIn(seen[-1][0], ("srflx", "prflx"))
        self.assertTrue(seen[-1][1].startswith("203.0.113.102:"), seen[-1])
        self.assertGreater(figures["bytes"], 100_000, "too few media bytes to tell where they went")
        self.assertLess(served, 60_000, f"{served} bytes crossed the server's interface while {figures['bytes']} "
                                        "bytes of media were received")
        self.note(f"{figures['path']}: first frame after {figures['first_frame_ms']} ms; server's interface carried "
                  f"{served} bytes, the media were {figures['bytes']}")
        return figures

    def figures(self, process):
        import json
        figures = json.loads(process.stats.read_text())
        self.assertEqual((figures["frames"], figures["frames_lost"]), (100, 0), figures)
        return figures

    def test_two_masquerading_routers_are_punched_and_the_server_carries_no_media(self):
        self.check(TwoHomes(self))

    def test_a_router_that_changes_ports_towards_one_that_does_not_filter(self):
        scene = TwoHomes(self, a="masq_random", b="fullcone")
        self.check(scene)

    def test_the_first_frame_takes_at_most_ten_round_trips(self):
        scene = TwoHomes(self, delay=0.05)
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--frames", "100")
        self.assertEqual(process.wait(60), 0, process.text())
        figures = self.figures(process)
        self.note(f"50 ms one way: {figures['round_trips_to_first_frame']} round trips, {figures['first_frame_ms']} ms")
        self.assertLessEqual(figures["round_trips_to_first_frame"], 10)

    def test_a_wire_that_loses_packets_still_shows_right_frames(self):
        scene = TwoHomes(self)
        scene.node.ready()
        for port in ("ra", "rb"):
            scene.network.wire.set(port, loss=0.02)
        process = scene.viewer.view("CAM-1", "--frames", "60")
        self.assertEqual(process.wait(90), 0, process.text())
        self.assertEqual(every(scene.node.status(), "state").count("down"), 0)
