"""The middle of the net: an Ethernet switch in user space with delay, loss and counters per port.

Run as a program it is the switch itself: it reads one JSON command a line from standard input and
answers each on standard output. As a module it is what the tests hold of it.
"""

import collections
import heapq
import itertools
import json
import pathlib
import random
import select
import socket
import subprocess
import sys
import time

ALL_PROTOCOLS = 0x0003
IPV4 = b"\x08\x00"
SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 23, 33
# Frames waiting in one port's delay line; more is a full queue, and the frame is lost.
LONGEST_QUEUE = 20_000


class Port:
    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        self.socket.bind((interface, 0))
        self.socket.setblocking(False)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        # What holds for frames that go to or come from this port.
        self.delay = 0.0
        self.loss = 0.0
        self.down = False
        # Routers on the way: an IPv4 packet whose time to live is not more than this dies there.
        self.hops = 0
        # What goes out here: bytes a second, and bytes that may wait for it; without a rate at once.
        self.rate = 0
        self.queue = 0
        self.free = 0.0
        self.queued = 0
        # When the last frame from each port is due: the next is not before it.
        self.last = {}
        self.counters = collections.Counter()


class Switch:
    """Learns addresses, floods what it does not know, and keeps each port's frames in order."""

    def __init__(self):
        self.ports = {}
        self.where = {}
        self.line = []
        self.number = itertools.count()
        self.random = random.Random(1)
        self.poll = select.epoll()
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self.by_descriptor = {}
        self.text = b""

    def run(self):
        while True:
            now = time.monotonic()
            while self.line and self.line[0][0] <= now:
                _, _, port, frame = heapq.heappop(self.line)
                port.queued -= 1
                self.put(port, frame)
            wait = max(0.0, self.line[0][0] - time.monotonic()) if self.line else -1
            for descriptor, _ in self.poll.poll(wait):
                if descriptor in self.by_descriptor:
                    self.take(self.by_descriptor[descriptor])
                elif not self.command():
                    return

    def take(self, port):
        for _ in range(64):
            try:
                frame = port.socket.recv(65536)
            except OSError:
                return
            if port.down:
                continue
            port.counters["in_frames"] += 1
            port.counters["in_bytes"] += len(frame)
            self.where[frame[6:12]] = port
            known = self.where.get(frame[0:6]) if not frame[0] & 1 else None
            for target in [known] if known else self.ports.values():
                if target is not port:
                    self.carry(port, target, frame)

    def carry(self, source, target, frame):
        if target.down or target.queued >= LONGEST_QUEUE:
            return
        hops = source.hops + target.hops
        if hops and frame[12:14] == IPV4 and frame[22] <= hops:
            target.counters["expired_frames"] += 1
            return
        if self.random.random() < source.loss or self.random.random() < target.loss:
            target.counters["lost_frames"] += 1
            return
        delay = source.delay + target.delay
        now = time.monotonic()
        if target.rate:
            start = max(now, target.free)
            if (start - now) * target.rate > target.queue:
                target.counters["full_frames"] += 1
                return
            target.free = start + len(frame) / target.rate
            delay += target.free - now
        if delay == 0 and not target.queued:
            self.put(target, frame)
            return
        target.queued += 1
        target.last[source] = max(target.last.get(source, 0.0), now + delay)
        heapq.heappush(self.line, (target.last[source], next(self.number), target, frame))

    def put(self, port, frame):
        if port.down:
            return
        try:
            port.socket.send(frame)
        except OSError:
            port.counters["unsent_frames"] += 1
            return
        port.counters["out_frames"] += 1
        port.counters["out_bytes"] += len(frame)

    def command(self):
        data = sys.stdin.buffer.raw.read(65536)
        if not data:
            return False
        self.text += data
        while b"\n" in self.text:
            line, _, self.text = self.text.partition(b"\n")
            print(json.dumps(self.obey(json.loads(line))), flush=True)
        return True

    def obey(self, order):
        name = order["port"]
        if "interface" in order:
            port = self.ports[name] = Port(order["interface"])
            self.by_descriptor[port.socket.fileno()] = port
            self.poll.register(port.socket.fileno(), select.EPOLLIN)
        port = self.ports[name]
        for key in ("delay", "loss", "down", "hops", "rate", "queue"):
            if key in order:
                setattr(port, key, order[key])
        return dict(port.counters)


class Wire:
    """The tests' hold of the switch."""

    def __init__(self, case, namespace):
        self.namespace = namespace
        self.process = subprocess.Popen(
            [*namespace.prefix(), sys.executable, str(pathlib.Path(__file__).resolve())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        case.addCleanup(self.stop)

    def stop(self):
        """The switch ends when nobody holds its standard input."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(3)
            self.process.stdout.close()

    def tell(self, port, **settings):
        self.process.stdin.write(json.dumps({"port": port, **settings}) + "\n")
        self.process.stdin.flush()
        return collections.Counter(json.loads(self.process.stdout.readline()))

    def add(self, port, interface):
        self.tell(port, interface=interface)

    def set(self, port, delay=None, loss=None, down=None, hops=None, rate=None, queue=None):
        """`delay` in seconds one way, `loss` as a share of 1, `down` cuts the port without a word to either side,
        `hops` are the routers between the port and the middle. `rate` in bytes a second holds for what goes to the
        machine; more than `queue` bytes waiting are lost."""
        settings = {"delay": delay, "loss": loss, "down": down, "hops": hops, "rate": rate, "queue": queue}
        return self.tell(port, **{key: value for key, value in settings.items() if value is not None})

    def counters(self, port):
        return self.tell(port)


if __name__ == "__main__":
    try:
        Switch().run()
    except KeyboardInterrupt:
        pass
