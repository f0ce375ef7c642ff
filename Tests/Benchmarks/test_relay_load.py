"""The relay beside coturn: the same client, the same packets, one after the other on one machine.

turnutils_uclient sends to turnutils_peer, which sends back: each message is relayed twice. What counts is the
processor time the server takes for it, its system calls included.
"""

import pathlib
import resource

from harness import Case
from harness.network import Network
from harness.nodes import Server

SECRET = "north-of-the-river-2026"
SERVER, CLIENT = "203.0.113.10", "203.0.113.20"


class RelayLoad(Case):
    seconds = 600

    clients, messages, interval_ms = 5, 1000, 2
    # Each a session of its own: one may not take the whole relay.
    senders = 8

    def setUp(self):
        super().setUp()
        network = Network(self)
        self.machine, self.far = network.namespace("s"), network.namespace("c")
        network.pair(self.machine, "wan", self.far, "wan")
        self.machine.address("wan", f"{SERVER}/24")
        self.far.address("wan", f"{CLIENT}/24", *(f"203.0.113.{last}/24" for last in range(21, 70)))
        self.secret = self.folder / "secret"
        self.secret.write_text(SECRET)

    def ours(self):
        server = Server(self, self.machine, relay={
            "ports": "30000-59999", "secret-file": str(self.secret), "old-channels": True, "unsignalled-peers": True})
        return server.start().process

    def coturn(self):
        process = self.start("turnserver", [
            "turnserver", "-n", "--no-cli", "--log-file=/dev/null", "-L", SERVER, "-E", SERVER, "-m", "1",
            "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=rv.example.org", "--no-tls", "--no-dtls",
            "--min-port=30000", "--max-port=59999", "--userdb=" + str(self.folder / "turndb"),
            "--pidfile=" + str(self.folder / "turn.pid")], self.machine)
        self.wait_until(lambda: ":3478" in self.complete(["ss", "-lun"], self.machine).stdout, 15, "coturn is not up")
        return process

    def load(self, server, size):
        """Microseconds of processor time for each relayed packet, and messages that did not come back."""
        before = server.cpu_seconds()
        running = [
            self.start("uclient", [
                "turnutils_uclient", "-W", SECRET, "-u", f"user{number}-{size}", "-L", CLIENT, "-e", CLIENT, "-X", "-c",
                "-m", str(self.clients), "-n", str(self.messages), "-l", str(size), "-z", str(self.interval_ms),
                SERVER], self.far)
            for number in range(self.senders)]
        lost = 0
        for process in running:
            self.assertEqual(process.wait(180), 0, process.kept_tail())
            found = [line for line in process.text().splitlines() if "Total lost packets" in line]
            self.assertTrue(found, process.kept_tail())
            lost += int(found[-1].split("Total lost packets")[1].split()[0])
        packets = 2 * self.senders * self.clients * self.messages
        return (server.cpu_seconds() - before) / packets * 1e6, lost, packets

    def test_processor_time_for_each_packet(self):
        self.start("peer", ["turnutils_peer", "-L", CLIENT], self.far)
        results = {}
        for name in ("ours", "coturn"):
            server = getattr(self, name)()
            for size in (100, 1000):
                results[name, size] = self.load(server, size)
            server.stop()
        for size in (100, 1000):
            (a, lost_a, packets), (b, lost_b, _) = results["ours", size], results["coturn", size]
            self.note(f"{size} bytes: {a:.2f} us for each relayed packet ({1e6 / a:.0f} a second and core), coturn "
                      f"{b:.2f} us ({1e6 / b:.0f}): {a / b:.2f} of coturn's; of {packets} packets lost {lost_a} and {lost_b}")

    def test_memory_for_each_idle_allocation(self):
        count = 10_000
        # The programs inherit it; an allocation is a socket.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        sizes = {}
        for name in ("ours", "coturn"):
            server = getattr(self, name)()
            self.hold(1)
            before = server.resident_bytes()
            self.hold(count)
            sizes[name] = (server.resident_bytes() - before) / count
            server.stop()
        self.note(f"each of {count} idle allocations: {sizes['ours']:.0f} bytes, coturn {sizes['coturn']:.0f}: "
                  f"{sizes['ours'] / sizes['coturn']:.2f} of coturn's")
        self.assertLess(sizes["ours"], sizes["coturn"])

    def hold(self, count):
        """A process in the client's namespace that makes allocations and says how many."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); from turn_client import Allocation\n"
            "count = int(sys.argv[2])\n"
            "kept = [Allocation((sys.argv[3], 3478), f'holder{n // 10}', sys.argv[4],\n"
            "                   f'203.0.113.{20 + n % 50}').allocate() for n in range(count)]\n"
            "print(len(kept))\n")
        done = self.complete(
            ["python3", "-c", code, str(pathlib.Path(__file__).resolve().parent), str(count), SERVER, SECRET],
            self.far, timeout=240)
        self.assertEqual(done.stdout.strip(), str(count), done.stderr[-2000:])
