"""A relay that dies under a running stream: another takes its place, and the session goes on."""

import time

from harness.scenes import TwoHomes
from test_roaming import Watch

RELAY = {"ports": "50000-50999"}


class RelayDeath(Watch):
    """Both routers take another port for every peer: there is no path but the relay, and the link to the server dies with
    the way to it."""

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

    def test_the_server_restarts_and_has_forgotten_every_allocation(self):
        scene = self.scene()

        def restart():
            down = time.monotonic()
            scene.server.process.kill()
            scene.server.start()
            # While it is not there nobody can do anything.
            self.outage_ms += 1000 * (time.monotonic() - down)

        self.relayed(scene, restart)
