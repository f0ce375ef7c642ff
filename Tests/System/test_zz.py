import json, time
from harness import Case
from harness.scenes import TwoHomes

class ZZ(Case):
    seconds = 90
    def test_it(self):
        scene = TwoHomes(self, a="masq_random", b="masq_random", relay={"ports": "50000-50999"}, delay=0.01)
        scene.node.ready()
        cap = self.start("tshark", ["tshark", "-i", "wan", "-w", "/tmp/rt/a.pcap", "-q"], scene.ra)
        cap2 = self.start("tshark2", ["tshark", "-i", "wan", "-w", "/tmp/rt/b.pcap", "-q"], scene.rb)
        process = scene.viewer.view("CAM-1", "--duration", "8")
        process.wait_for("first picture", 20)
        time.sleep(2)
        open("/tmp/rt/t0", "w").write(str(time.time()))
        scene.rb.flush_connections()
        self.assertEqual(process.wait(40), 0, process.text())
        print(process.text())
        print(json.loads(process.stats.read_text())["longest_gap_ms"])
        time.sleep(0.5)
        cap.stop(); cap2.stop()
        print(scene.node.process.text())
        print(scene.server.process.text())
