"""Where no direct path can be, and where none is wanted: the media go over the server's relay."""

import json

from harness import Case
from harness.scenes import TwoHomes

RELAY = {"ports": "50000-50999"}
TLS = {"stun-tls": "203.0.113.10:5349"}


class Relay(Case):
    """What the tests here share."""

    seconds = 150

    def scene(self, **options):
        return TwoHomes(self, relay=RELAY, listen=TLS, **options)

    def view(self, scene, *options, count=60):
        """Views; returns the viewer's figures, the paths the node told of, and the bytes at the server's interface."""
        scene.node.ready()
        before = sum(scene.server_machine.counters("wan"))
        process = scene.viewer.view("CAM-1", "--frames", str(count), *options)
        seen = []
        while process.running():
            seen += [each.get("path") for each in (scene.node.status() or {}).get("sessions", [])]
        self.assertEqual(process.wait(5), 0, process.text() + scene.node.process.kept_tail())
        figures = json.loads(process.stats.read_text())
        self.assertEqual((figures["frames"], figures["frames_lost"]), (count, 0), figures)
        return figures, seen, sum(scene.server_machine.counters("wan")) - before

    def relayed(self, scene, *options):
        figures, seen, served = self.view(scene, *options)
        self.assertEqual(figures["path"], "relay")
        self.assertEqual(seen[-1:], ["relay"], "both ends agree")
        self.assertGreater(served, figures["bytes"], "the media did not cross the server")
        relay = scene.server.status()["relay"]
        self.assertGreater(relay["to_peers_bytes"] + relay["to_clients_bytes"], figures["bytes"], relay)
        self.note(f"first frame after {figures['first_frame_ms']} ms; server's interface carried {served} bytes, "
                  f"the media were {figures['bytes']}")
        return figures


class Paths(Relay):
    """Both ends reach the server over UDP."""

    # Loopback-like links: what takes longer waits for something that was lost.
    first_frame_ms = 1000

    def relayed(self, *arguments):
        figures = super().relayed(*arguments)
        self.assertLessEqual(figures["first_frame_ms"], self.first_frame_ms)
        return figures

    def test_two_symmetric_routers_are_joined_by_the_relay(self):
        self.relayed(self.scene(a="masq_random", b="masq_random"))

    def test_relay_only_goes_over_the_relay_although_a_direct_path_exists(self):
        self.relayed(self.scene(), "--relay-only")

    def test_no_relay_does_not_use_it(self):
        figures, seen, served = self.view(self.scene(), "--no-relay")
        self.assertIn(figures["path"], ("srflx", "prflx"))
        self.assertLess(served, 60_000)

    def test_no_relay_between_symmetric_routers_says_what_would_help(self):
        scene = self.scene(a="masq_random", b="masq_random")
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--frames", "10", "--no-relay")
        self.assertEqual(process.wait(100), 1, process.text())


class Blocked(Relay):
    """Firewalls that let nothing but TCP to ports 80 and 443 out."""

    # Logging in, finding that nothing comes back over UDP, and TLS once more for the relay.
    first_frame_ms = 1500

    def scene(self, **options):
        # One port for everything: who is let out to nothing else still logs in and is relayed.
        everything = {"sips": ["203.0.113.10:5061", "203.0.113.10:443"], "stun-tls": "203.0.113.10:443"}
        return TwoHomes(self, relay=RELAY, listen=everything, transport="tls443", **options)

    def blocked(self, **options):
        figures = self.relayed(self.scene(**options))
        self.assertLessEqual(figures["first_frame_ms"], self.first_frame_ms)

    def test_where_only_tcp_443_gets_out_of_the_viewer_s_network(self):
        self.blocked(b="udpblock")

    def test_where_only_tcp_443_gets_out_of_the_node_s_network(self):
        self.blocked(a="udpblock")

    def test_where_only_tcp_443_gets_out_of_either(self):
        self.blocked(a="udpblock", b="udpblock")
