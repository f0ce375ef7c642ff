"""Loads a TURN server from one process: clients with channels on one side, their peer on the other.

    relay_load.py SERVER SECRET SOURCE PEER --size 1200 --burst 16 --rate 20000 --seconds 4

Each client sends bursts of ChannelData to the server, which relays them to the peer; the peer sends as many back to the
relayed addresses. Prints one line of JSON: what was sent and what arrived on each side. `--rate` is packets a second
and direction, 0 as fast as this process can. sendmmsg and recvmmsg are called through ctypes, and what arrives is
counted without being copied, so that this side costs less than what it measures.
"""

import argparse
import ctypes
import json
import pathlib
import resource
import select
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "System"))
from harness.turn import Allocation  # noqa: E402

UDP_SEGMENT = 103
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
MSG_DONTWAIT, MSG_TRUNC = 0x40, 0x20
libc = ctypes.CDLL(None, use_errno=True)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.POINTER(Vector)),
                ("vector_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Message(ctypes.Structure):
    _fields_ = [("header", Header), ("length", ctypes.c_uint32)]


def enlarge(sock):
    for option in (SO_RCVBUFFORCE, SO_SNDBUFFORCE):
        sock.setsockopt(socket.SOL_SOCKET, option, 16 << 20)
    return sock


class Burst:
    """`count` equal datagrams, sent by one system call; with segmentation offload as one datagram the kernel cuts."""

    def __init__(self, sock, payload, count, to=None, offload=False):
        self.descriptor, self.count = sock.fileno(), count
        whole = payload * count if offload else payload
        self.buffer = ctypes.create_string_buffer(whole, len(whole))
        self.vector = Vector(ctypes.addressof(self.buffer), len(whole))
        self.calls = 1 if offload else count
        self.messages = (Message * self.calls)()
        self.name = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack(">H", to[1])
                                                + socket.inet_aton(to[0]) + bytes(8), 16) if to else None
        control = struct.pack("@Qiih", 18, socket.IPPROTO_UDP, UDP_SEGMENT, len(payload)).ljust(24, b"\0")
        self.control = ctypes.create_string_buffer(control, 24)
        for message in self.messages:
            message.header.vectors, message.header.vector_count = ctypes.pointer(self.vector), 1
            if to:
                message.header.name, message.header.name_length = ctypes.addressof(self.name), 16
            if offload and count > 1:
                message.header.control, message.header.control_length = ctypes.addressof(self.control), 24

    def send(self):
        """How many left."""
        done = libc.sendmmsg(self.descriptor, self.messages, self.calls, MSG_DONTWAIT)
        return 0 if done < 0 else self.count if self.calls == 1 else done


class Drain:
    """Counts datagrams without copying them."""

    batch = 256

    def __init__(self):
        self.messages = (Message * self.batch)()
        self.byte = ctypes.create_string_buffer(1)
        self.vector = Vector(ctypes.addressof(self.byte), 1)
        for message in self.messages:
            message.header.vectors, message.header.vector_count = ctypes.pointer(self.vector), 1

    def take(self, descriptor):
        total = 0
        while True:
            got = libc.recvmmsg(descriptor, self.messages, self.batch, MSG_DONTWAIT | MSG_TRUNC, None)
            if got > 0:
                total += got
            if got < self.batch:
                return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server")
    parser.add_argument("secret")
    parser.add_argument("source")
    parser.add_argument("peer")
    parser.add_argument("--allocations", type=int, default=20)
    parser.add_argument("--size", type=int, default=1200)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--offload", action="store_true", help="send bursts by UDP_SEGMENT: they arrive merged")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    peer = enlarge(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    peer.bind((options.peer, 0))
    clients, bursts = [], []
    for number in range(options.allocations):
        client = Allocation((options.server, 3478), f"load{number}", options.secret, options.source)
        client.allocate()
        if (refused := client.bind_channel(0x4000, peer.getsockname())) is not None:
            raise SystemExit(f"the channel was refused: {refused}")
        enlarge(client.socket)
        client.socket.setblocking(False)
        clients.append(client)
    for client in clients:
        up = struct.pack(">HH", 0x4000, options.size) + bytes(options.size)
        bursts.append((Burst(client.socket, up, options.burst, None, options.offload),
                       Burst(peer, bytes(options.size), options.burst, client.relayed, options.offload)))

    drain, poll = Drain(), select.epoll()
    for sock in [peer, *(client.socket for client in clients)]:
        poll.register(sock, select.EPOLLIN)
    sent, arrived = [0, 0], [0, 0]

    def collect(wait):
        for descriptor, _ in poll.poll(wait, 256):
            side = 0 if descriptor == peer.fileno() else 1
            arrived[side] += drain.take(descriptor)

    start, turn, due = time.monotonic(), 0, 0.0
    end = start + options.seconds
    while (now := time.monotonic()) < end:
        if options.rate:
            # One burst of one client and of the peer at a time, evenly over time.
            due = (now - start) * options.rate
            if sent[0] + options.burst > due:
                # Never asleep: to wake a sleeper is the work of who sends to it, and a network interface never sleeps.
                collect(0)
                continue
        for side, burst in enumerate(bursts[turn % len(bursts)]):
            sent[side] += burst.send()
        turn += 1
        if turn % 4 == 0:
            collect(0)
    elapsed = time.monotonic() - start
    quiet = time.monotonic() + 0.5
    while time.monotonic() < quiet:
        collect(0.1)
    for client in clients:
        client.delete()
    print(json.dumps({"sent": sent, "arrived": arrived, "seconds": elapsed}))


if __name__ == "__main__":
    main()
