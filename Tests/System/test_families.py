"""Networks that have only one of IPv4 and IPv6, or one that goes nowhere."""

import json

from harness import Case
from harness.scenes import DualStack


class OneFamily(Case):
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
