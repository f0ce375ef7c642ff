"""The simulated net itself: what the other tests rely on."""

import subprocess
import time

from harness import Case, Network

PROBE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 40000)); s.settimeout(2)
for address, port in (("203.0.113.10", 3478), ("203.0.113.11", 3478), ("203.0.113.10", 3479)):
    s.sendto(b"?", (address, port)); print(s.recvfrom(99)[0].decode())
"""

ECHO = """
import socket, select, sys
def bound(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, port)); return s
sockets = [bound(a, p) for a in ("203.0.113.10", "203.0.113.11") for p in (3478, 3479)]
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        data, source = s.recvfrom(99)
        if data == b"?": s.sendto(b"%s:%d" % (source[0].encode(), source[1]), source)
        else: sockets[3].sendto(b"unasked", (data.decode(), 40000))
"""


class Net(Case):
    seconds = 60

    def server(self, network):
        server = network.host("s", 10, 11)
        self.start("echo", ["python3", "-c", ECHO], server).wait_for("ready", 10)
        return server

    def mappings(self, machine):
        done = self.complete(["python3", "-c", PROBE], machine)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def test_nat_rule_sets_map_as_they_are_named(self):
        network = Network(self)
        self.server(network)
        machine, router = network.home("a", 1, 101)
        from harness import nat
        expected = {
            "masq": lambda m: m == ["203.0.113.101:40000"] * 3,
            "masq_reject": lambda m: len(set(m)) == 1,
            "masq_noindrop": lambda m: len(set(m)) == 1,
            "masq_persistent": lambda m: len(set(m)) == 1,
            "masq_random": lambda m: len(set(m)) == 3,
            "masq_fullyrandom": lambda m: len(set(m)) == 3,
            "snat_range": lambda m: len(set(m)) == 1 and not m[0].endswith(":40000"),
            "jhash_eim": lambda m: len(set(m)) == 1 and not m[0].endswith(":40000"),
            "jhash_adm": lambda m: m[0] == m[2] != m[1],
            "jhash_apdm": lambda m: len(set(m)) == 3,
            "fullcone": lambda m: len(set(m)) == 1,
            "restricted": lambda m: len(set(m)) == 1,
        }
        for name, right in expected.items():
            router.rules(nat.rules(name, "203.0.113.101"))
            router.flush_connections()
            found = self.mappings(machine)
            self.assertTrue(right(found), f"{name}: {found}")
        router.rules(nat.rules("udpblock", "203.0.113.101"))
        router.flush_connections()
        self.assertNotEqual(self.complete(["python3", "-c", PROBE], machine).returncode, 0)

    def test_delay_loss_and_cut_act_on_the_wire(self):
        network = Network(self)
        first, second = network.host("x", 20), network.host("y", 21)

        def ping(count=3, interval="0.05"):
            done = self.complete(["python3", "-c", PINGER, str(count)], first)
            return [float(each) for each in done.stdout.split()]

        self.start("pong", ["python3", "-c", PONGER], second).wait_for("ready", 10)
        self.assertLess(min(ping()), 0.03)
        network.wire.set("y", delay=0.05)
        times = ping()
        self.assertEqual(len(times), 3)
        self.assertGreater(min(times), 0.099)
        self.assertLess(min(times), 0.15)
        network.wire.set("y", delay=0.0, loss=0.5)
        answered = len(ping(60))
        self.assertTrue(5 <= answered <= 30, f"{answered} of 60 answered with half of the frames lost each way")
        network.wire.set("y", loss=0.0, down=True)
        self.assertEqual(ping(), [])
        network.wire.set("y", down=False)
        self.assertEqual(len(ping()), 3)
        self.assertGreater(network.wire.counters("y")["out_bytes"], 0)

    def test_large_transfers_pass_the_wire_unharmed(self):
        network = Network(self)
        first, second = network.host("x", 20), network.host("y", 21)
        sink = self.start("sink", ["python3", "-c", SINK], second)
        sink.wait_for("ready", 10)
        started = time.monotonic()
        done = self.complete(["python3", "-c", SOURCE], first, timeout=40)
        self.assertEqual(done.returncode, 0, done.stderr)
        sink.wait_for(done.stdout.strip(), 10)
        self.note(f"the wire carries {30 / (time.monotonic() - started):.0f} MB/s of TCP")

    def test_private_addresses_have_no_way_across_the_middle(self):
        network = Network(self)
        network.home("a", 1, 101)
        other, _ = network.home("b", 2, 102)
        done = self.complete(
            ["python3", "-c", "import socket;socket.create_connection(('192.168.1.2', 9), 1)"], other)
        self.assertNotEqual(done.returncode, 0)

    def test_nothing_is_left_behind(self):
        network = Network(self)
        network.home("a", 1, 101)
        names = [namespace.name for namespace in network.namespaces]
        network.remove()
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        for name in names:
            self.assertNotIn(name, listed)


PINGER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)
for i in range(int(sys.argv[1])):
    t = time.monotonic(); s.sendto(str(i).encode(), ("203.0.113.21", 7))
    try:
        while s.recv(99) != str(i).encode(): pass
        print(time.monotonic() - t)
    except TimeoutError: pass
"""

PONGER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("203.0.113.21", 7)); print("ready", flush=True)
while True:
    data, source = s.recvfrom(99); s.sendto(data, source)
"""

SINK = """
import hashlib, socket
l = socket.create_server(("203.0.113.21", 9)); print("ready", flush=True)
c, _ = l.accept(); h = hashlib.sha256()
while data := c.recv(1 << 20): h.update(data)
print(h.hexdigest(), flush=True)
"""

SOURCE = """
import hashlib, random, socket
data = random.Random(7).randbytes(30_000_000); s = socket.create_connection(("203.0.113.21", 9), 3)
s.sendall(data); s.close(); print(hashlib.sha256(data).hexdigest())
"""
