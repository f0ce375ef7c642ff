"""aioice's TURN client, which aiortc and others use, against our relay."""

import json
import pathlib
import socket
import threading

from harness import Case
from harness.network import Network
from harness.nodes import Server

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / ".venv" / "bin" / "python3"
SECRET = "north-of-the-river-2026"
SERVER, PEER = "203.0.113.10", "203.0.113.30"


class AioiceClient(Case):
    seconds = 60

    def echo(self, namespace):
        """A UDP socket that sends back what it gets; its address."""
        with namespace.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((PEER, 0))
        self.addCleanup(sock.close)

        def run():
            try:
                while True:
                    data, source = sock.recvfrom(65536)
                    sock.sendto(data, source)
            except OSError:
                pass

        threading.Thread(target=run, daemon=True).start()
        return "%s:%d" % sock.getsockname()

    def through(self, transport, port):
        self.assertTrue(PYTHON.exists(), ".venv is missing; `make interop` makes it")
        network = Network(self)
        machine, client, far = network.host("s", 10), network.host("c", 20), network.host("p", 30)
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        server = Server(self, machine, listen={"stun-tls": f"{SERVER}:5349"},
                        relay={"ports": "50000-59999", "secret-file": str(secret), "unsignalled-peers": True,
                               "nonce-seconds": 5}).start()
        done = self.complete([PYTHON, HERE / "aioice_client.py", SERVER, port, transport, SECRET, self.echo(far),
                              self.echo(far)], client, timeout=40)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["echoes"], 16)
        self.assertTrue(told["nonce_changed"], "the nonce did not run out in the session")
        self.wait_until(lambda: server.status()["relay"]["allocations"] == 0, 5, "the allocation was not given back")

    def test_over_udp(self):
        self.through("udp", 3478)

    def test_over_tcp(self):
        self.through("tcp", 3478)

    def test_over_tls(self):
        self.through("tls", 5349)
