"""The relay as strangers and clients meet it: the real server, every class of abuse it must bear, TCP allocations."""

import contextlib
import os
import random
import socket
import struct
import threading
import time

from harness import Case
from harness.network import Network
from harness.nodes import Server
from harness.turn import (
    ALLOCATE, BINDING, CHANNEL_BIND, CONNECTION_ATTEMPT, CONNECTION_ID, CREATE_PERMISSION, DATA, ERROR, ICMP,
    INTEGRITY, NONCE, PAYLOAD, REALM, REFRESH, TCP, TRANSPORT, USERNAME, Allocation, attribute, attributes, code,
    message)

SECRET = "north-of-the-river-2026"
SERVER, CLIENT, PEER = "203.0.113.10", "203.0.113.20", "203.0.113.30"


class RelayServer(Case):
    """A relay, a client and a peer on one wire."""

    seconds = 60
    relay = {}

    def setUp(self):
        super().setUp()
        network = Network(self)
        self.machine, self.client, self.far = (network.namespace(label) for label in "scp")
        for namespace, last in ((self.client, 20), (self.far, 30)):
            port = f"to{last}"
            network.pair(self.machine, port, namespace, "wan")
            namespace.address("wan", f"203.0.113.{last}/24")
        self.machine.bridge("wan", "to20", "to30")
        self.machine.address("wan", f"{SERVER}/24")
        secret = self.folder / "secret"
        secret.write_text(SECRET)
        self.server = Server(self, self.machine, relay={
            "ports": "50000-59999", "secret-file": str(secret), "unsignalled-peers": True, "threads": 2,
            **self.relay}).start()

    def allocation(self, user="anna", stream=False, **options):
        with self.client.entered():
            client = Allocation((SERVER, 3478), user, SECRET, CLIENT, stream)
        self.addCleanup(client.socket.close)
        client.inside = self.client.entered
        return client.allocate(**options)

    def peer(self, kind=socket.SOCK_DGRAM):
        with self.far.entered():
            sock = socket.socket(socket.AF_INET, kind)
        self.addCleanup(sock.close)
        sock.bind((PEER, 0))
        sock.settimeout(2)
        return sock


class Abuse(RelayServer):
    """NAT.md's classes of attack, against the server's sockets."""

    def ask_as_stranger(self, sock, request):
        sock.send(request)
        try:
            return sock.recv(2048)
        except TimeoutError:
            return b""

    def stranger(self):
        with self.client.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.connect((SERVER, 3478))
        sock.settimeout(0.3)
        return sock

    def test_no_answer_to_a_stranger_is_more_than_1_6_times_the_question(self):
        wanted = attribute(TRANSPORT, b"\x11\0\0\0")
        proof = attribute(USERNAME, b"1:x") + attribute(REALM, b"edge") + attribute(NONCE, b"n" * 16)
        requests = {
            "Binding": message(BINDING, b""), "Allocate": message(ALLOCATE, wanted),
            "bare Allocate": message(ALLOCATE, b""), "Refresh": message(REFRESH, b""),
            "forged": message(ALLOCATE, wanted + proof, b"key"),
            "half signed": message(ALLOCATE, wanted + attribute(INTEGRITY, bytes(20))),
            "CreatePermission": message(CREATE_PERMISSION, b""), "ChannelBind": message(CHANNEL_BIND, b""),
            "unknown method": message(0x0FF, b""), "software": message(BINDING, attribute(0x8022, b"x" * 64))}
        worst = 0
        for name, request in requests.items():
            answer = self.ask_as_stranger(self.stranger(), request)
            worst = max(worst, len(answer) / len(request))
            self.assertLessEqual(len(answer) / len(request), 1.6, name)
            time.sleep(0.15)
        self.assertGreater(worst, 1, "nothing was answered")
        self.note(f"at most {worst:.2f} times the question")

    def test_one_source_gets_ten_unsigned_answers_a_second(self):
        request = message(ALLOCATE, attribute(TRANSPORT, b"\x11\0\0\0"))
        # Ports do not help.
        strangers = [self.stranger() for _ in range(8)]
        started = time.monotonic()
        for round in range(100):
            for sock in strangers:
                sock.send(request)
            time.sleep(0.01)
        elapsed = time.monotonic() - started
        answers = 0
        for sock in strangers:
            sock.settimeout(0.1)
            try:
                while sock.recv(2048):
                    answers += 1
            except TimeoutError:
                pass
        self.note(f"{answers} answers to 800 requests within {elapsed:.1f} s")
        self.assertGreater(answers, 0)
        self.assertLessEqual(answers, 20 + 10 * elapsed + 1, "two seconds' worth at once, then ten a second")

    def test_a_flood_of_allocates_from_forged_sources_moves_no_memory(self):
        # Answers leave, to nowhere.
        self.machine.default_route(CLIENT)
        process = self.server.process
        wanted = attribute(TRANSPORT, b"\x11\0\0\0")
        proof = attribute(USERNAME, b"9999999999:x") + attribute(REALM, b"edge") + attribute(NONCE, b"n" * 16)
        requests = [message(ALLOCATE, wanted), message(ALLOCATE, wanted + proof, b"key"), message(BINDING, b""),
                    message(CREATE_PERMISSION, proof, b"key")]
        with self.client.entered():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.addCleanup(raw.close)
        generator = random.Random(1)

        def flood(count):
            for number in range(count):
                request = requests[number % len(requests)]
                source = 0xC6120000 | generator.getrandbits(17)
                datagram = struct.pack(">HHHH", generator.randrange(1024, 65536), 3478, 8 + len(request), 0) + request
                header = struct.pack(">BBHHHBBHI4s", 0x45, 0, 20 + len(datagram), number & 0xFFFF, 0, 64, 17, 0, source,
                                     socket.inet_aton(SERVER))
                raw.sendto(header + datagram, (SERVER, 0))

        flood(4000)
        before = process.resident_bytes()
        flood(40_000)
        client = self.allocation()
        grown = process.resident_bytes() - before
        self.note(f"40,000 forged requests moved the server's memory by {grown / 1024:.0f} KiB")
        self.assertLess(grown, 1 << 20)
        self.assertEqual(self.server.status()["relay"]["allocations"], 1, "the client's, who was served meanwhile")
        client.delete()

    def test_no_method_reaches_the_server_itself_or_what_only_it_may_reach(self):
        own = [(SERVER, 3478), (SERVER, 5060), ("127.0.0.1", 5060), ("0.0.0.0", 5060), ("169.254.1.1", 80),
               ("10.0.0.1", 80), ("224.0.0.1", 80), ("255.255.255.255", 80)]
        datagrams, stream = self.allocation(), self.allocation("bert", stream=True, transport=TCP)
        with self.machine.entered():
            inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(inside.close)
        inside.bind(("0.0.0.0", 0))
        for number, peer in enumerate([*own, (SERVER, inside.getsockname()[1])]):
            if peer[0] != SERVER:
                self.assertEqual(datagrams.permit(peer), 403, peer)
                self.assertEqual(stream.permit(peer), 403, peer)
            self.assertEqual(datagrams.bind_channel(0x4000 + number, peer), 403, peer)
            self.assertEqual(stream.connect(peer), 403, peer)
            datagrams.send(b"in", peer)
            datagrams.data(0x4000 + number, b"in")
        inside.settimeout(0.3)
        self.assertRaises(TimeoutError, inside.recv, 100)

    def test_peers_that_cannot_be_reached_harm_no_other(self):
        good = self.peer()
        client = self.allocation()
        for target, route in (("8.8.8.8", None), ("198.51.100.7", "prohibit"), ("198.51.101.7", "blackhole"),
                              ("198.51.102.7", "unreachable"), (PEER, None)):
            if route:
                self.machine.run("ip", "route", "add", route, target)
            self.assertIsNone(client.permit((target, 0)), target)
        # A firewall's EPERM, for one port of the good peer's own address.
        self.machine.rules(f"table ip f {{\n chain o {{\n type filter hook output priority 0\n"
                           f" ip daddr {PEER} udp dport 9 drop\n }}\n}}\n")
        bad = [("8.8.8.8", 9), ("198.51.100.7", 9), ("198.51.101.7", 9), ("198.51.102.7", 9), (PEER, 9)]
        self.assertIsNone(client.bind_channel(0x4000, good.getsockname()))
        for number, peer in enumerate(bad):
            self.assertIsNone(client.bind_channel(0x4001 + number, peer), peer)
        for number in range(100):
            for channel in range(1, 1 + len(bad)):
                client.data(0x4000 + channel, b"lost")
            client.data(0x4000, struct.pack(">I", number))
            client.send(b"lost too", bad[number % len(bad)])
        self.assertEqual([good.recv(100) for _ in range(100)], [struct.pack(">I", number) for number in range(100)])
        good.sendto(b"back", client.relayed)
        client.socket.settimeout(2)
        while (frame := client.receive())[:2] != b"\x40\x00":
            pass
        self.assertEqual(frame[4:], b"back")
        self.assertNotIn(ERROR, client.ask(REFRESH))

    def test_a_port_nobody_listens_on_is_told_as_an_icmp_error(self):
        client = self.allocation()
        gone = self.peer()
        peer = gone.getsockname()
        gone.close()
        self.assertIsNone(client.permit(peer))
        client.send(b"anybody?", peer)
        told = client.indications(DATA, 0.5)
        self.assertEqual([each[ICMP] for each in told if ICMP in each], [b"\0\0\3\3" + bytes(4)])


class Relaying(RelayServer):
    """Data through the server's loops."""

    def test_clients_reach_each_other_whichever_loop_they_are_on(self):
        clients = [self.allocation(f"user{number // 4}") for number in range(8)]
        clients += [self.allocation("streams", stream=True) for _ in range(2)]
        for client in clients:
            self.assertIsNone(client.permit((SERVER, 0)))
        for number, client in enumerate(clients):
            for other in clients:
                if other is not client:
                    client.send(struct.pack(">I", number), other.relayed)
        for number, client in enumerate(clients):
            found = sorted(each[PAYLOAD] for each in client.indications(DATA, 0.3) if PAYLOAD in each)
            self.assertEqual(found, [struct.pack(">I", each) for each in range(len(clients)) if each != number])

    def test_bursts_cross_whole_and_in_order(self):
        peer = self.peer()
        client = self.allocation()
        self.assertIsNone(client.bind_channel(0x4000, peer.getsockname()))
        generator = random.Random(4)
        sent = [generator.randbytes(generator.choice([1200, 1200, 1200, 172, 33, 0, 1, 4000])) for _ in range(300)]
        for start in range(0, len(sent), 30):
            for payload in sent[start:start + 30]:
                client.data(0x4000, payload)
                peer.sendto(payload, client.relayed)
            client.socket.settimeout(2)
            for payload in sent[start:start + 30]:
                self.assertEqual(peer.recv(65536), payload)
                self.assertEqual(client.receive()[4:4 + len(payload)], payload)

    def test_the_descriptor_limit_is_raised_to_the_hard_one(self):
        limits = [line.split() for line in open(f"/proc/{self.server.process.pid}/limits") if "open files" in line][0]
        self.assertEqual(limits[3], limits[4])


class TCPAllocations(RelayServer):
    """RFC 6062 over real connections."""

    def setUp(self):
        super().setUp()
        self.listener = self.peer(socket.SOCK_STREAM)
        self.listener.listen()

    def test_a_connection_to_a_peer_carries_both_ways_and_ends_both_ways(self):
        control = self.allocation(stream=True, transport=TCP)
        data = control.connect(self.listener.getsockname())
        peer, source = self.listener.accept()
        self.assertEqual(source, control.relayed, "it comes from the relayed address")
        self.assertEqual(control.connect(self.listener.getsockname()), 446)
        blob = os.urandom(3_000_000)

        def push(sock):
            sock.sendall(blob)

        for sender, receiver in ((data, peer), (peer, data)):
            sender.settimeout(20)
            receiver.settimeout(20)
            thread = threading.Thread(target=push, args=(sender,))
            thread.start()
            time.sleep(0.2)
            found = bytearray()
            while len(found) < len(blob):
                found += receiver.recv(1 << 20)
            thread.join()
            self.assertEqual(found, blob)
        peer.close()
        self.assertEqual(data.recv(10), b"")
        # And once more, ended by the client.
        data = control.connect(self.listener.getsockname())
        peer, _ = self.listener.accept()
        data.close()
        peer.settimeout(5)
        self.assertEqual(peer.recv(10), b"")

    def test_a_peer_may_connect_once_it_has_a_permission_and_what_it_sends_first_is_kept(self):
        control = self.allocation(stream=True, transport=TCP)
        # Cut at once, before or after connect() has returned.
        with contextlib.suppress(ConnectionResetError), self.far.entered():
            stranger = socket.create_connection(control.relayed, 3, (PEER, 0))
            stranger.settimeout(3)
            self.assertEqual(stranger.recv(10), b"")
        self.assertIsNone(control.permit((PEER, 0)))
        with self.far.entered():
            peer = socket.create_connection(control.relayed, 3, (PEER, 0))
        peer.sendall(b"early")
        attempt = attributes(control.receive())
        data = control.joined(attempt[CONNECTION_ID])
        data.settimeout(3)
        self.assertEqual(data.recv(5), b"early")
        data.sendall(b"answer")
        self.assertEqual(peer.recv(6), b"answer")
        # The allocation's end is theirs.
        control.socket.close()
        self.assertEqual(peer.recv(10), b"")

    def test_a_peer_that_refuses_is_a_447(self):
        control = self.allocation(stream=True, transport=TCP)
        address = self.listener.getsockname()
        self.listener.close()
        self.assertEqual(control.connect(address), 447)


class ShortNonces(RelayServer):
    relay = {"nonce-seconds": 5}

    def test_a_nonce_that_runs_out_is_replaced_without_a_loss(self):
        client = self.allocation()
        peer = self.peer()
        self.assertIsNone(client.bind_channel(0x4000, peer.getsockname()))
        before = client.nonce
        time.sleep(5.5)
        for request in (lambda: client.permit(peer.getsockname()), lambda: client.ask(REFRESH).get(ERROR),
                        lambda: client.bind_channel(0x4000, peer.getsockname())):
            self.assertIsNone(request())
        self.assertNotEqual(client.nonce, before)
        client.data(0x4000, b"still here")
        self.assertEqual(peer.recv(100), b"still here")


class Caps(RelayServer):
    relay = {"max-megabytes": 1}

    def test_an_allocation_that_has_carried_its_share_ends_with_a_486(self):
        client = self.allocation()
        peer = self.peer()
        self.assertIsNone(client.bind_channel(0x4000, peer.getsockname()))
        for _ in range(1000):
            client.data(0x4000, bytes(1200))
            if _ % 50 == 0:
                time.sleep(0.002)
        self.assertEqual(code(client.ask(REFRESH)), 486)
