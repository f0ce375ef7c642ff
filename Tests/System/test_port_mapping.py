"""Routers that map ports on request (PCP, NAT-PMP): miniupnpd on one of two that take another port for every peer."""

import json

from harness import Case, nat
from harness.scenes import TwoHomes

# miniupnpd maps nothing at an address it knows to be nobody's, as all of the documentation blocks are. This one goes no
# further than the namespaces of the test.
WAN = "192.88.98"

SETTINGS = """ext_ifname=wan
listening_ip=lan
enable_natpmp=yes
enable_upnp=no
secure_mode=yes
min_lifetime=120
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


class PortMapping(Case):
    seconds = 90

    def mapped(self, router):
        return router.run("nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd").count("dnat")

    def serve(self, router, public):
        router.rules(nat.port_mapping("masq_random", public))
        settings = self.folder / f"miniupnpd-{router.label}.conf"
        settings.write_text(SETTINGS)
        self.start(f"miniupnpd-{router.label}",
                   ["miniupnpd", "-d", "-f", settings, "-P", self.folder / f"{router.label}.pid"], router)
        self.wait_until(lambda: ":5351" in router.run("ss", "-Hlun"), 5, "miniupnpd does not listen")

    def view(self, who):
        scene = TwoHomes(self, a="masq_random", b="masq_random", wan=WAN, relay={"ports": "50000-50099"})
        router = {"a": scene.ra, "b": scene.rb}[who]
        self.serve(router, f"{WAN}.{101 if who == 'a' else 102}")
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--frames", "60")
        process.wait_for("first picture", 20)
        self.assertEqual(self.mapped(router), 1)
        self.assertEqual(process.wait(30), 0, process.text())
        figures = json.loads(process.stats.read_text())
        self.assertIn(figures["path"], ("srflx", "prflx"), process.text())
        self.wait_until(lambda: self.mapped(router) == 0, 5, "the mapping was not given back")
        self.note(f"two symmetric routers, one with miniupnpd: {figures['path']}, first frame after "
                  f"{figures['first_frame_ms']} ms; mapping given back at the end")

    def test_a_node_whose_router_maps_ports_is_reached_directly(self):
        self.view("a")

    def test_a_viewer_whose_router_maps_ports_is_reached_directly(self):
        self.view("b")
