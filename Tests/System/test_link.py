"""The link to the server: it breaks in every way there is, and comes back by itself."""

import json
import pathlib
import statistics
import time

from harness import Case, Network, Node, Server, Viewer
from harness.nodes import DOMAIN
from harness.scenes import TwoHomes, one_machine

CLIENT = pathlib.Path(__file__).resolve().parents[1] / "Interop" / "sip_client.py"


class ServerRestart(Case):
    seconds = 150

    def test_a_server_killed_ten_times_gets_its_node_back_within_five_seconds(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        taken = []
        for attempt in range(10):
            server.process.kill()
            self.wait_until(lambda: node.link() != "connected", 3, "status says connected while the server is gone")
            reason = node.status()["link"].get("reason")
            self.assertTrue(reason, "the link is down and status gives no reason")
            # 0 to 3 s without a server: short and longer waits of the reconnect are met.
            time.sleep(attempt / 3)
            server.start()
            started = time.monotonic()
            server.wait_serial("CAM-1", 5)
            taken.append(time.monotonic() - started)
            self.assertEqual(node.link(), "connected")
        self.note(f"published again after {min(taken):.1f} to {max(taken):.1f} s, median {statistics.median(taken):.1f} s")
        self.assertGreaterEqual(node.status()["link"]["reconnects"], 10)
        # Accounts and grants outlived ten kills.
        self.assertEqual(viewer.frames(5)["frames_lost"], 0)

    def test_accounts_and_grants_made_just_before_a_kill_are_kept(self):
        machine, server, node = one_machine(self)
        node.ready()
        for number in range(5):
            viewer = Viewer(self, machine, server, name=f"user-{number}")
            server.process.kill()
            server.start()
            self.assertIn(f"user-{number}", server.must("account", "list"))
            self.assertIn(f"user-{number}", server.must("grants"))
        server.wait_serial("CAM-1", 5)
        self.assertEqual(viewer.frames(3)["frames_lost"], 0)


class Uplink(Case):
    seconds = 200

    def watcher(self, scene, machine):
        """Somebody who subscribed to the camera, outside; prints what it is told."""
        password = scene.server.account("watcher")
        scene.server.grant("watcher", "CAM-1")
        process = self.start("watcher", [
            "python3", CLIENT, "watch", "CAM-1", "--server", "203.0.113.10:5061", "--ca", scene.server.ca, "--user",
            "watcher", "--password-file", password], machine)
        process.wait_for(r'"CAM-1": "open"', 15)
        return process

    def last_told(self, watcher):
        told = [json.loads(line) for line in watcher.text().splitlines() if line.startswith("{")]
        return next((each["serials"]["CAM-1"] for each in reversed(told) if "CAM-1" in each.get("serials", {})), None)

    def test_an_uplink_cut_for_a_minute_is_told_to_watchers_and_mended_by_itself(self):
        scene = TwoHomes(self)
        scene.node.ready()
        watcher = self.watcher(scene, scene.b)
        cut = time.monotonic()
        scene.network.wire.set("ra", down=True)
        self.wait_until(lambda: self.last_told(watcher) == "closed", 40, lambda: f"the watcher knows: {watcher.text()}")
        told = time.monotonic() - cut
        self.wait_until(lambda: scene.node.link() != "connected", 40, "status says connected across a cut wire")
        self.wait_until(lambda: time.monotonic() - cut >= 60, 61, "")
        scene.network.wire.set("ra", down=False)
        mended = time.monotonic()
        scene.server.wait_serial("CAM-1", 5)
        back = time.monotonic() - mended
        self.wait_until(lambda: self.last_told(watcher) == "open", 2, "the watcher was not told of the return")
        self.note(f"watcher told after {told:.1f} s, node back {back:.1f} s after the cut's end")
        self.assertEqual(scene.viewer.frames(5)["frames_lost"], 0)


class Mapping(Case):
    seconds = 150

    def flushed(self, transport, rules):
        scene = TwoHomes(self, a=rules, b="fullcone", flow_timer=10, transport=transport)
        scene.node.ready()
        pid = scene.node.process.pid
        scene.ra.flush_connections()
        started = time.monotonic()
        # The mapping is gone: nothing reaches the node until it speaks. It must be reachable again without help.
        self.wait_until(lambda: self.reachable(scene), 40, lambda: f"not reachable again: {scene.node.status()}")
        self.note(f"{transport} through {rules}: reachable {time.monotonic() - started:.1f} s after the flush")
        self.assertEqual(scene.node.process.pid, pid)
        self.assertEqual(scene.viewer.frames(5)["frames_lost"], 0)

    def reachable(self, scene):
        process = scene.viewer.view("CAM-1", "--frames", "1")
        try:
            return process.wait(12) == 0
        except AssertionError:
            process.stop()
            return False

    def test_a_flushed_mapping_of_a_tls_link_is_recovered(self):
        self.flushed("tls", "masq_random")

    def test_a_flushed_mapping_of_a_udp_link_is_recovered(self):
        self.flushed("udp", "masq_random")

    def test_a_flushed_mapping_mid_stream_ends_or_mends_the_session_and_a_new_one_works(self):
        scene = TwoHomes(self, flow_timer=10)
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--duration", "20")
        self.wait_until(lambda: (scene.node.status() or {}).get("sessions"), 20, "no session")
        time.sleep(2)
        scene.ra.flush_connections()
        scene.rb.flush_connections()
        self.assertIn(process.wait(60), (0, 1), process.text())
        self.assertEqual(scene.viewer.frames(5)["frames_lost"], 0)


class SilentServer(Case):
    seconds = 120

    def test_a_server_that_vanishes_without_a_word_is_noticed_by_the_heartbeat(self):
        scene = TwoHomes(self, flow_timer=10)
        scene.node.ready()
        scene.network.wire.set("s", down=True)
        # 10 s interval, 10 s for the pong, and a little.
        took = scene.node.wait_link("connecting", 25) if scene.node.link() == "connected" else 0
        scene.network.wire.set("s", down=False)
        scene.node.wait_link("connected", 15)
        scene.server.wait_serial("CAM-1", 5)
        self.note(f"a silent server was noticed after {took:.1f} s")

    def test_a_node_that_starts_before_its_server_waits_for_it(self):
        network = Network(self)
        machine = network.namespace("box")
        machine.hosts({DOMAIN: "127.0.0.1"})
        server = Server(self, machine, address="127.0.0.1").start()
        node = Node(self, machine, server)
        server.process.stop()
        node.start()
        self.wait_until(lambda: node.status(), 10, "a node without a server does not answer `status`")
        self.assertIn(node.link(), ("connecting", "down"))
        self.assertEqual(node.command("status").returncode, 1)
        server.start()
        node.wait_link("connected", 8)
