"""coturn, a TURN server and clients nobody here wrote: its client against our relay, our client against its server."""

import json

from harness import Case
from harness.network import Network
from harness.nodes import Server
from harness.scenes import TwoHomes

SECRET = "north-of-the-river-2026"
PEER = "203.0.113.30"


class CoturnClient(Case):
    """turnutils_uclient and turnutils_peer."""

    seconds = 200

    def setUp(self):
        super().setUp()
        network = Network(self)
        machine = network.host("s", 10)
        self.client, self.far = network.host("c", 20), network.host("p", 30)
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        # uclient has the channel numbers of RFC 5766.
        Server(self, machine, listen={"stun-tls": "203.0.113.10:5349"},
               relay={"ports": "50000-59999", "secret-file": str(secret), "old-channels": True,
                      "unsignalled-peers": True}).start()
        self.start("peer", ["turnutils_peer", "-L", PEER], self.far)
        self.count = 0

    def uclient(self, *options, secret=SECRET):
        self.count += 1
        return self.complete(
            ["turnutils_uclient", "-W", secret, "-u", f"user{self.count}", "-L", "203.0.113.20", "-e", PEER, "-X",
             "-n", "20", *options, "203.0.113.10"], self.client, timeout=60)

    def passes(self, *options):
        done = self.uclient(*options)
        text = done.stdout + done.stderr
        self.assertRegex(text, r"Total lost packets 0 \(0\.0+%\), total send dropped 0", f"{options}: {text[-1500:]}")

    def test_channels_and_send_indications_over_udp(self):
        self.passes()
        self.passes("-s")

    def test_channels_and_send_indications_over_tcp(self):
        self.passes("-t")
        self.passes("-t", "-s")

    def test_channels_and_send_indications_over_tls(self):
        self.passes("-t", "-S")
        self.passes("-t", "-S", "-s")

    def test_connections_between_tcp_allocations(self):
        self.passes("-T")
        self.passes("-T", "-S")

    def test_client_to_client_and_extra_requests(self):
        self.passes("-y")
        self.passes("-y", "-c", "-t")
        self.passes("-G")

    def test_a_wrong_secret_is_refused(self):
        done = self.uclient(secret="another")
        self.assertNotRegex(done.stdout + done.stderr, r"Total lost packets 0")


class CoturnServer(Case):
    """turnserver in place of our relay."""

    seconds = 150

    def view(self, *transports, frames=60, stale_nonce=600, more=()):
        """Watches over it; returns what the server said."""
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        relay = {"secret-file": str(secret), "servers": list(transports)}
        scene = TwoHomes(self, relay=relay)
        machine = scene.network.host("t", 11)
        # Without a route for every address the first unreachable peer ends an allocation of coturn 4.6.1.
        machine.default_route("203.0.113.1")
        folder = scene.server.folder
        coturn = self.start("turnserver", [
            "turnserver", "-n", "--no-cli", "--log-file=stdout", "-L", "203.0.113.11", "-E", "203.0.113.11",
            "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=rv.example.org",
            f"--stale-nonce={stale_nonce}", *more, "--min-port=50000", "--max-port=50999", f"--cert={folder}/server.pem",
            f"--pkey={folder}/server.key", "--no-dtls", "--userdb=" + str(self.folder / "turndb"),
            "--pidfile=" + str(self.folder / "turn.pid")], machine)
        scene.node.ready()
        before = sum(machine.counters("wan"))
        process = scene.viewer.view("CAM-1", "--frames", frames, "--relay-only")
        self.assertEqual(process.wait(60), 0, process.text() + scene.node.process.kept_tail())
        figures = json.loads(process.stats.read_text())
        self.assertEqual((figures["path"], figures["frames_lost"]), ("relay", 0), figures)
        self.assertGreater(sum(machine.counters("wan")) - before, figures["bytes"])
        self.note(f"first frame after {figures['first_frame_ms']} ms")
        return coturn.text()

    def test_a_nonce_that_runs_out_in_mid_session_costs_no_frame(self):
        # The client refreshes after half of so short a lifetime, with a nonce that is no good any more.
        said = self.view("turn:203.0.113.11:3478?transport=udp", frames=200, stale_nonce=4,
                         more=["-v", "--max-allocate-lifetime=12"])
        self.assertRegex(said, r"error 438")
        self.assertRegex(said, r"REFRESH processed, success")

    def test_over_udp(self):
        self.view("turn:203.0.113.11:3478?transport=udp")

    def test_over_tcp(self):
        self.view("turn:203.0.113.11:3478?transport=tcp")

    def test_over_tls(self):
        self.view("turns:203.0.113.11:5349?transport=tcp")
