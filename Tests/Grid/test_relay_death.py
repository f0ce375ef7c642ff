"""A relay that dies under a running stream: another takes its place, and the session goes on."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "System"))

from harness.scenes import TwoHomes  # noqa: E402
from test_roaming import Watch  # noqa: E402

RELAY = {"ports": "50000-50999"}


class RelayDeath(Watch):
    """Both routers take another port for every peer: there is no path but the relay, and the link to the server dies with
    the way to it."""

    # A dead way is known after 1.2 s, and a lost packet comes again within another second.
    outage_ms = 4000

    def scene(self):
        return TwoHomes(self, a="masq_random", b="masq_random", relay=RELAY, delay=0.01)

    def relayed(self, scene, change):
        figures = self.watch(scene, change)
        self.assertEqual(figures["path"], "relay")

    def test_the_node_s_way_to_the_relay_is_cut(self):
        # The relay knows a client by the address it comes from, and the router now takes another for it.
        scene = self.scene()
        self.relayed(scene, scene.ra.flush_connections)

    def test_the_viewer_s_way_to_the_relay_is_cut(self):
        scene = self.scene()
        self.relayed(scene, scene.rb.flush_connections)
