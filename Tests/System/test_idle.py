"""What a session costs that nobody uses."""

import time

from harness import Case
from harness.scenes import TwoHomes

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


class Idle(Case):
    """What a tunnel costs that nobody uses, counted on the wire."""

    seconds = 150
    watched = 62

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
        time.sleep(self.watched)
        capture.stop()
        seen = [line for line in capture.text().splitlines() if line.startswith("packet")]
        self.note(f"{len(seen)} packets between the two homes in {self.watched} s, both directions")
        self.assertGreater(len(seen), 0)
        self.assertLessEqual(len(seen), self.watched / 20)
