"""Networks that are no two homes on the public net."""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "System"))

from harness import Case  # noqa: E402
from harness.grid import Carrier, OneRouter, PublicHost  # noqa: E402
from harness.scenes import DualStack, TwoHomes  # noqa: E402
from test_guess_ports import Guessing  # noqa: E402

SKEWS = (0, 0.3)


class Extra(Case):
    seconds = 300

    def check(self, bench, cells, skews=SKEWS):
        results = [bench.cell(a, b, skew, expects) for a, b, expects in cells for skew in skews]
        for result in results:
            self.note(result.line())
        self.assertEqual([result.line() for result in results if result.fault], [])
        return results

    def test_a_public_host_meets_every_router(self):
        self.check(PublicHost(self), [
            (rules, "public", "direct")
            for rules in ("masq", "masq_noindrop", "masq_random", "jhash_adm", "fullcone", "restricted")])

    def test_two_machines_on_one_network_use_their_own_addresses(self):
        results = self.check(OneRouter(self), [("masq", "public", "direct")])
        self.assertEqual({result.path for result in results}, {"host"})

    def test_two_networks_of_one_router_that_keeps_them_apart_need_the_relay(self):
        self.check(OneRouter(self, apart=True), [("masq", "public", "relay")])

    def test_two_homes_of_one_carrier_meet_only_if_it_hairpins(self):
        self.check(Carrier(self), [("masq", "masq", "relay"), ("fullcone", "masq", "relay"),
                                   ("restricted", "masq", "relay"), ("fullcone_hair", "masq", "direct")])

    def test_a_home_behind_a_carrier_is_as_strict_as_the_stricter_of_the_two(self):
        self.check(Carrier(self, both=False), [
            ("masq", "masq", "direct"), ("fullcone", "masq", "direct"), ("restricted", "masq", "direct"),
            ("masq_fullyrandom", "masq", "relay")])


class Guesses(Guessing):
    """The other way round: the viewer keeps its port."""

    def test_a_node_that_takes_another_port_for_every_peer(self):
        self.assertIn(self.attempt("masq_random", "masq")["path"], ("srflx", "prflx"))


class Families(Case):
    seconds = 100

    def view(self, scene):
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--frames", "30")
        self.assertEqual(process.wait(60), 0, process.text())
        figures = json.loads(process.stats.read_text())
        sessions = scene.node.status()["sessions"]
        self.note(f"{figures['path']} {figures['local']} -> {figures['remote']}, first frame after "
                  f"{figures['first_frame_ms']} ms {[each['path'] for each in sessions]}")
        return figures

    def test_where_ipv4_goes_nowhere_the_path_is_ipv6(self):
        scene = DualStack(self)
        scene.rb.run("nft", "-f", "-", stdin="table ip dead {\n  chain forw { type filter hook forward priority -20\n"
                                             "    iifname lan drop\n  }\n}\n")
        figures = self.view(scene)
        self.assertTrue(figures["remote"].startswith("["), figures)
        self.assertNotEqual(figures["path"], "relay")

    def test_an_ipv6_only_viewer_and_an_ipv4_only_node_meet_on_the_relay(self):
        scene = DualStack(self, v4=("a",), v6=("b",), relay={"ports": "50000-50099"})
        self.assertEqual(self.view(scene)["path"], "relay")

    def test_an_ipv4_only_viewer_and_an_ipv6_only_node_meet_on_the_relay(self):
        scene = DualStack(self, v4=("b",), v6=("a",), relay={"ports": "50000-50099"})
        self.assertEqual(self.view(scene)["path"], "relay")


class Idle(Case):
    """What a tunnel costs that nobody uses, counted on the wire."""

    seconds = 200

    def test_an_idle_session_sends_at_most_one_packet_in_twenty_seconds(self):
        scene = TwoHomes(self, resources=[{"serial": "WEB-1", "type": "tcp", "ip": "127.0.0.1", "port": 9}])
        scene.server.grant(scene.viewer.account.name, "WEB-1")
        scene.node.ready()
        process = self.start("tunnel", [self.program("edge"), "tunnel", "WEB-1", "--listen", "127.0.0.1:8554",
                                        *scene.viewer.options()], scene.b, environment=scene.viewer.environment())
        process.wait_for("127.0.0.1:8554", 20)
        peers = ("203.0.113.101", "203.0.113.102")
        # The last data, then consent is let run out.
        time.sleep(30)
        capture = self.start("capture", ["python3", "-c", CAPTURE, "wan", *peers], scene.ra)
        time.sleep(123)
        capture.stop()
        seen = [line for line in capture.text().splitlines() if line.startswith("packet")]
        self.note(f"{len(seen)} packets between the two homes in 123 s, both directions")
        self.assertGreater(len(seen), 0)
        self.assertLessEqual(len(seen), 123 / 20)


# Prints a line for every UDP packet between the two addresses.
CAPTURE = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.bind((sys.argv[1], 0))
ends = {socket.inet_aton(each) for each in sys.argv[2:]}
while True:
    frame = s.recv(2048)
    if frame[23] == 17 and {frame[26:30], frame[30:34]} == ends:
        print("packet", len(frame), flush=True)
"""
