"""Networks that have only one of IPv4 and IPv6, or one that goes nowhere."""

import json

from harness import Case
from harness.nodes import DOMAIN
from harness.scenes import DualStack, TwoHomes


class OneFamily(Case):
    seconds = 100

    def view(self, scene, *options):
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--frames", "30", *options)
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

    def test_an_ipv6_only_viewer_whose_router_translates_meets_a_node_directly(self):
        scene = TwoHomes(self, relay={"ports": "50000-50099"})
        nat64(self, scene.b, scene.rb, 2)
        figures = self.view(scene)
        self.assertIn(figures["path"], ("srflx", "prflx"))
        self.assertTrue(figures["remote"].startswith(f"[{PREFIX}"), figures)

    def test_an_ipv6_only_node_whose_router_translates_is_met_directly(self):
        scene = TwoHomes(self, relay={"ports": "50000-50099"})
        nat64(self, scene.a, scene.ra, 1)
        figures = self.view(scene)
        self.assertIn(figures["path"], ("srflx", "prflx"))

    def test_two_ipv6_only_ends_whose_routers_translate_to_another_port_for_every_peer_meet_on_the_relay(self):
        scene = TwoHomes(self, a="masq_random", b="masq_random", relay={"ports": "50000-50099"})
        nat64(self, scene.a, scene.ra, 1)
        nat64(self, scene.b, scene.rb, 2)
        self.assertEqual(self.view(scene)["path"], "relay")


# RFC 6052 §3.1 keeps the well-known prefix from addresses that are not global, and those of this network are not.
PREFIX = "2001:db8:64::"


def nat64(case, machine, router, number):
    """Leaves the machine IPv6 only, and has its router translate (RFC 6146), as mobile networks do. Their name server
    makes addresses of the server's (RFC 6147); here the hosts file has what it would say."""
    folder = case.folder / f"nat64.{number}"
    folder.mkdir()
    (folder / "tayga.conf").write_text(
        f"tun-device nat64\nipv4-addr 192.168.255.1\nprefix {PREFIX}/96\ndynamic-pool 192.168.255.0/24\n"
        f"ipv6-addr fd00:64::1\ndata-dir {folder}\n")
    router.run("tayga", "--mktun", "--config", folder / "tayga.conf")
    router.link("nat64", "up")
    router.address("nat64", "192.168.255.1/24", "fd00:64::2/64")
    router.run("ip", "-6", "route", "add", f"{PREFIX}/96", "dev", "nat64")
    router.sysctl(net__ipv6__conf__all__forwarding=1)
    router.address("lan", f"fd00:{number}::1/64")
    case.start("tayga", ["tayga", "--nodetach", "--config", folder / "tayga.conf"], router)
    machine.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    machine.address("eth0", f"fd00:{number}::2/64")
    machine.default_route(f"fd00:{number}::1")
    machine.hosts({DOMAIN: f"{PREFIX}cb00:710a"})
