"""The relay beside coturn: the same clients, the same packets, one after the other on one machine.

Two clients: turnutils_uclient with turnutils_peer, which sends back, and relay_load.py, which sends bursts both ways and
costs less than what it measures. What counts is the processor time the server takes for each relayed packet, its system
calls included, and how many it relays when more come than it can take.
"""

import json
import os
import pathlib
import resource

from harness import Case
from harness.network import Network
from harness.nodes import Server

SECRET = "north-of-the-river-2026"
SERVER, CLIENT = "203.0.113.10", "203.0.113.20"
HERE = pathlib.Path(__file__).resolve().parent


class RelayLoad(Case):
    seconds = 600

    clients, messages, interval_ms = 5, 1000, 2
    # Each a session of its own: one may not take the whole relay.
    senders = 8
    # Name, bytes, packets in a burst, packets a second each way, whether they arrive merged as behind an interface
    # with receive offload.
    loads = [
        ("voice, one by one", 172, 1, 20_000, False), ("video, one by one", 1200, 1, 20_000, False),
        ("video, bursts of 8", 1200, 8, 24_000, False), ("video, bursts of 32", 1200, 32, 32_000, False),
        ("video, bursts of 32, merged", 1200, 32, 32_000, True)]

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
        # One loop beside coturn's one relay thread.
        server = Server(self, self.machine, relay={
            "ports": "30000-59999", "secret-file": str(self.secret), "old-channels": True, "unsignalled-peers": True,
            "threads": 1}, name=f"server{len(self.processes)}")
        return server.start().process

    def coturn(self):
        process = self.start("turnserver", [
            "turnserver", "-n", "--no-cli", "--log-file=/dev/null", "-L", SERVER, "-E", SERVER, "-m", "1",
            "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=rv.example.org", "--no-tls", "--no-dtls",
            "--min-port=30000", "--max-port=59999", "--userdb=" + str(self.folder / "turndb"),
            "--pidfile=" + str(self.folder / "turn.pid")], self.machine)
        self.wait_until(lambda: ":3478" in self.complete(["ss", "-lun"], self.machine).stdout, 15, "coturn is not up")
        return process

    def pinned(self, process, core):
        for task in os.listdir(f"/proc/{process.pid}/task"):
            os.sched_setaffinity(int(task), {core})

    def bursts(self, server, size, burst, rate, merged, seconds=3):
        """Figures of one run of relay_load.py: packets that arrived, their share, the server's time."""
        before = server.cpu_seconds()
        done = self.complete(
            ["python3", HERE / "relay_load.py", SERVER, SECRET, CLIENT, CLIENT, "--size", size, "--burst", burst,
             "--rate", rate, "--seconds", seconds, *(["--offload"] if merged else [])], self.far, timeout=120,
            preexec_fn=lambda: os.sched_setaffinity(0, {1}))
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        told = json.loads(done.stdout)
        arrived, sent = sum(told["arrived"]), sum(told["sent"])
        used = server.cpu_seconds() - before
        return {"us": used / arrived * 1e6, "lost": sent - arrived, "sent": sent, "rate": arrived / told["seconds"],
                "busy": used / told["seconds"]}

    def compare(self, body):
        """What `body` finds of each server, each with a processor to itself."""
        found = {}
        for name in ("ours", "coturn"):
            server = getattr(self, name)()
            self.pinned(server, 0)
            found[name] = body(server)
            server.stop()
        return found["ours"], found["coturn"]

    def test_processor_time_for_each_packet_of_bursts(self):
        rows = [load[1:] for load in self.loads]
        ours, coturn = self.compare(lambda server: [self.bursts(server, *row) for row in rows])
        for (name, size, *_), a, b in zip(self.loads, ours, coturn):
            self.note(f"{name}, {size} bytes: {a['us']:.2f} us for each relayed packet, coturn {b['us']:.2f} us: "
                      f"{a['us'] / b['us']:.2f} of coturn's; lost {a['lost']} and {b['lost']} of {a['sent']}")
        for a, b in zip(ours, coturn):
            self.assertLess(a["us"], 0.7 * b["us"])
            # A busy machine keeps both from their processor for longer than their buffers last.
            self.assertLessEqual(a["lost"], b["lost"])

    def test_packets_a_second_of_one_processor(self):
        rows = [(172, 8, 0, True), (1200, 32, 0, True)]
        ours, coturn = self.compare(lambda server: [self.bursts(server, *row) for row in rows])
        for (size, *_), a, b in zip(rows, ours, coturn):
            self.note(f"{size} bytes, as fast as they come: {a['rate']:.0f} packets a second relayed at "
                      f"{a['busy']:.2f} of a processor, coturn {b['rate']:.0f} at {b['busy']:.2f}: "
                      f"{a['rate'] / b['rate']:.2f} times; for each whole processor {1e6 / a['us']:.0f} and "
                      f"{1e6 / b['us']:.0f}: {b['us'] / a['us']:.2f} times")
            self.assertGreater(1 / a["us"], 1 / b["us"])

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

    def test_processor_time_for_each_packet_of_coturns_client(self):
        self.start("peer", ["turnutils_peer", "-L", CLIENT], self.far)
        results = {}
        for name in ("ours", "coturn"):
            server = getattr(self, name)()
            for size in (172, 1200):
                results[name, size] = self.load(server, size)
            server.stop()
        for size in (172, 1200):
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
            "import sys; sys.path.insert(0, sys.argv[1]); from harness.turn import Allocation\n"
            "count = int(sys.argv[2])\n"
            "kept = [Allocation((sys.argv[3], 3478), f'holder{n // 10}', sys.argv[4],\n"
            "                   f'203.0.113.{20 + n % 50}').allocate() for n in range(count)]\n"
            "print(len(kept))\n")
        done = self.complete(
            ["python3", "-c", code, str(HERE.parent / "System"), str(count), SERVER, SECRET],
            self.far, timeout=240)
        self.assertEqual(done.stdout.strip(), str(count), done.stderr[-2000:])
