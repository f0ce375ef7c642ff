"""Networks that change under a running stream: the same session goes on, over another path."""

import json
import time

from harness import Case
from harness.scenes import DualStack, TwoHomes


class Watch(Case):
    """What tests of a stream under change share."""

    seconds = 90
    # How long no picture may come.
    outage_ms = 2000

    def watch(self, scene, change, changes=1, *options):
        """Streams, changes the network in the middle, and holds the outage to its limit."""
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--duration", "14", *options)
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
        # To the end: a stream that stopped for good has no gap.
        self.assertGreater(figures["duration_ms"], 11_000, f"{figures}\n{text}\n{scene.node.process.text()}")
        self.assertLess(figures["longest_gap_ms"], self.outage_ms, f"{figures}\n{text}\n{scene.node.process.text()}")
        self.note(f"outage {figures['longest_gap_ms']} ms, {figures['frames']} frames, {figures['frames_lost']} lost, "
                  f"path {figures['path']}")
        return figures


class Roaming(Watch):
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


class Families(Watch):
    """From IPv4 to IPv6 and back, as between a home's network and a mobile one."""

    def family(self, figures, expected):
        self.assertEqual(figures["remote"].startswith("["), expected == 6, figures["remote"])

    def test_the_viewer_goes_from_ipv4_to_ipv6(self):
        scene = DualStack(self, v6=("a",))

        def change():
            scene.gain_v6("b")
            scene.lose_v4("b")

        self.family(self.watch(scene, change), 6)

    def test_the_node_goes_from_ipv4_to_ipv6(self):
        scene = DualStack(self, v6=("b",))

        def change():
            scene.gain_v6("a")
            scene.lose_v4("a")

        self.family(self.watch(scene, change), 6)

    def test_the_viewer_goes_from_ipv6_to_ipv4(self):
        # It has no IPv4 until it loses IPv6, so that the stream surely begins on that.
        scene = DualStack(self, v4=("a",))

        def change():
            scene.gain_v4("b")
            scene.lose_v6("b")

        self.family(self.watch(scene, change), 4)


class Upgrade(Watch):
    """The relay is used as soon as it is ready, and a direct path as soon as there is one."""

    # What comes from the other home does not arrive for the first second and a half.
    BLOCK = """
table ip late {
  chain forw { type filter hook forward priority -10
    ip saddr 203.0.113.101 udp dport != 3478 drop
  }
}
"""

    def test_a_stream_that_began_on_the_relay_moves_to_the_direct_path_without_a_lost_frame(self):
        scene = TwoHomes(self, relay={"ports": "50000-50999"})
        scene.node.ready()
        scene.rb.run("nft", "-f", "-", stdin=self.BLOCK)
        process = scene.viewer.view("CAM-1", "--duration", "6")
        process.wait_for("first picture", 20)
        self.assertIn("path: relay", process.text())
        time.sleep(0.3)
        scene.rb.run("nft", "delete", "table", "ip", "late")
        self.assertEqual(process.wait(40), 0, process.text())
        figures = json.loads(process.stats.read_text())
        text = process.text()
        self.assertIn(figures["path"], ("srflx", "prflx"), text)
        self.assertEqual((figures["frames_lost"], figures["checksum_errors"]), (0, 0), figures)
        # 15 pictures a second from the test card: none twice, none missing.
        self.assertAlmostEqual(figures["frames"], 15 * 6, delta=8, msg=text)
        self.assertNotIn("connecting again", text)
        self.assertLess(figures["longest_gap_ms"], 500, text)
        self.note(f"on the relay first, then {figures['path']}: {figures['frames']} frames, none lost, longest gap "
                  f"{figures['longest_gap_ms']} ms")
