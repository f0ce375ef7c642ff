"""Networks that change under a running stream: the same session goes on, over another path."""

import json
import time

from harness import Case
from harness.scenes import TwoHomes

# How long no picture may come.
OUTAGE_MS = 2000


class Roaming(Case):
    seconds = 90

    def watch(self, scene, change, changes=1):
        """Streams, changes the network in the middle, and holds the outage to its limit."""
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--duration", "14")
        process.wait_for("first picture", 20)
        time.sleep(2)
        change()
        self.assertEqual(process.wait(40), 0, process.text())
        figures = json.loads(process.stats.read_text())
        text = process.text()
        self.assertNotIn("connecting again", text, "the session was given up and made anew")
        self.assertEqual(figures["checksum_errors"], 0, figures)
        self.assertEqual(figures["frames_lost"], 0, f"{figures}\n{text}")
        self.assertGreaterEqual(figures["path_changes"], changes, text)
        self.assertLess(figures["longest_gap_ms"], OUTAGE_MS, f"{figures}\n{text}\n{scene.node.process.text()}")
        self.note(f"outage {figures['longest_gap_ms']} ms, {figures['frames']} frames, {figures['frames_lost']} lost, "
                  f"path {figures['path']}")
        return figures

    def readdress(self, machine, number):
        """What a lease with another address does."""
        machine.run("ip", "address", "del", f"192.168.{number}.2/24", "dev", "eth0")
        machine.address("eth0", f"192.168.{number}.77/24")
        machine.default_route(f"192.168.{number}.1")

    def test_the_viewers_address_changes(self):
        scene = TwoHomes(self)
        self.watch(scene, lambda: self.readdress(scene.b, 2))

    def test_the_nodes_address_changes(self):
        scene = TwoHomes(self)
        self.watch(scene, lambda: self.readdress(scene.a, 1))

    def test_the_nodes_router_forgets_its_mappings(self):
        scene = TwoHomes(self, a="masq_random", b="fullcone")
        self.watch(scene, scene.ra.flush_connections)

    def test_the_server_restarts_in_mid_stream(self):
        scene = TwoHomes(self)

        def restart():
            scene.server.process.kill()
            scene.server.start()

        self.watch(scene, restart, changes=0)
