"""Enough of a TURN client (RFC 8656, RFC 6062) to ask a relay anything; credentials as coturn's REST API has them."""

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import struct
import time

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA = 0x001, 0x003, 0x004, 0x016, 0x017
CREATE_PERMISSION, CHANNEL_BIND, CONNECT, CONNECTION_BIND, CONNECTION_ATTEMPT = 0x008, 0x009, 0x00A, 0x00B, 0x01C
USERNAME, INTEGRITY, ERROR, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x0014, 0x0015
CHANNEL, LIFETIME, PEER, PAYLOAD, RELAYED, FAMILY = 0x000C, 0x000D, 0x0012, 0x0013, 0x0016, 0x0017
TRANSPORT, CONNECTION_ID, ICMP = 0x0019, 0x002A, 0x8004
UDP, TCP = 17, 6


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def attributes(message):
    found, rest = {}, message[20:]
    while len(rest) >= 4:
        kind, length = struct.unpack(">HH", rest[:4])
        found.setdefault(kind, rest[4:4 + length])
        rest = rest[4 + length + -length % 4:]
    return found


def message(kind, body, key=None, transaction=None):
    length = len(body) + (24 if key else 0)
    head = struct.pack(">HHI", kind, length, COOKIE) + (transaction or os.urandom(12))
    if key:
        body += attribute(INTEGRITY, hmac.new(key, head + body, hashlib.sha1).digest())
    return head + body


def address(where, port, transaction):
    """The value of an XOR-PEER-ADDRESS."""
    raw = socket.inet_pton(socket.AF_INET6 if ":" in where else socket.AF_INET, where)
    mask = struct.pack(">I", COOKIE) + transaction
    return (struct.pack(">BBH", 0, 1 if len(raw) == 4 else 2, port ^ COOKIE >> 16)
            + bytes(a ^ b for a, b in zip(raw, mask)))


def code(found):
    """Of an ERROR-CODE."""
    return found[ERROR][2] * 100 + found[ERROR][3] if ERROR in found else None


class Allocation:
    """One socket with one allocation; over a stream when `stream` is true."""

    def __init__(self, server, user, secret, source="", stream=False):
        self.server, self.secret, self.source, self.stream = server, secret, source, stream
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.settimeout(5 if stream else 0.5)
        self.socket.connect(server)
        self.user = f"{int(time.time()) + 3600}:{user}".encode()
        self.password = base64.b64encode(hmac.new(secret.encode(), self.user, hashlib.sha1).digest())
        self.key, self.realm, self.nonce = None, None, None
        self.relayed = None
        # Where a data connection's socket is made.
        self.inside = contextlib.nullcontext
        # What came while an answer was awaited.
        self.waiting = []

    def receive(self):
        """One datagram, or one frame of the stream."""
        if not self.stream:
            return self.socket.recv(65536)
        head = self.exactly(4)
        length = struct.unpack(">H", head[2:])[0]
        rest = length + 16 if head[0] < 4 else length + -length % 4
        return head + self.exactly(rest)

    def exactly(self, count):
        found = b""
        while len(found) < count:
            more = self.socket.recv(count - len(found))
            if not more:
                raise ConnectionError("the relay closed the stream")
            found += more
        return found

    def exchange(self, kind, body, key=None, tries=6, transaction=None):
        """The answer's class bits and attributes."""
        request = message(kind, body, key, transaction)
        for _ in range(tries):
            self.socket.sendall(request)
            try:
                while True:
                    answer = self.receive()
                    if answer[8:20] == request[8:20]:
                        return struct.unpack(">H", answer[:2])[0] & 0x110, attributes(answer)
                    self.waiting.append(answer)
            except TimeoutError:
                continue
        raise TimeoutError(f"no answer to {kind:#x}")

    def ask(self, kind, body=b"", transaction=None):
        """Asks with credentials, following the server's challenges; attributes of the answer, empty ERROR for success."""
        for _ in range(3):
            proof = b""
            if self.key:
                proof = attribute(USERNAME, self.user) + attribute(REALM, self.realm) + attribute(NONCE, self.nonce)
            status, found = self.exchange(kind, body + proof, self.key, transaction=transaction)
            if status == 0x110 and code(found) in (401, 438) and NONCE in found and found[NONCE] != self.nonce:
                self.realm, self.nonce = found[REALM], found[NONCE]
                self.key = hashlib.md5(self.user + b":" + self.realm + b":" + self.password).digest()
                continue
            return found
        return found

    def must(self, kind, body=b"", transaction=None):
        found = self.ask(kind, body, transaction)
        if ERROR in found:
            raise ValueError(f"{kind:#x} was refused: {code(found)}")
        return found

    def allocate(self, transport=UDP, more=b""):
        found = self.must(ALLOCATE, attribute(TRANSPORT, bytes([transport, 0, 0, 0]))
                          + attribute(LIFETIME, struct.pack(">I", 3600)) + more)
        port, where = struct.unpack(">HI", found[RELAYED][2:8])
        self.relayed = (socket.inet_ntoa(struct.pack(">I", where ^ COOKIE)), port ^ COOKIE >> 16)
        return self

    def about_peer(self, kind, peer, more=b""):
        """A request that names a peer; the error code, None for success."""
        transaction = os.urandom(12)
        return code(self.ask(kind, more + attribute(PEER, address(*peer, transaction)), transaction))

    def permit(self, peer):
        return self.about_peer(CREATE_PERMISSION, peer)

    def bind_channel(self, number, peer):
        return self.about_peer(CHANNEL_BIND, peer, attribute(CHANNEL, struct.pack(">HH", number, 0)))

    def send(self, payload, peer):
        """A Send indication."""
        transaction = os.urandom(12)
        self.socket.sendall(message(
            SEND, attribute(PEER, address(*peer, transaction)) + attribute(PAYLOAD, payload), transaction=transaction))

    def data(self, number, payload):
        """On a channel."""
        self.socket.sendall(struct.pack(">HH", number, len(payload)) + payload
                            + (bytes(-len(payload) % 4) if self.stream else b""))

    def indications(self, kind, seconds):
        """What came of a kind, attributes each, until nothing has come for so long."""
        self.socket.settimeout(seconds)
        try:
            while True:
                self.waiting.append(self.receive())
        except TimeoutError:
            pass
        found = [attributes(each) for each in self.waiting if struct.unpack(">H", each[:2])[0] == kind]
        self.waiting = []
        return found

    def connect(self, peer):
        """RFC 6062: a data connection to a peer; an error code instead when it is refused."""
        transaction = os.urandom(12)
        found = self.ask(CONNECT, attribute(PEER, address(*peer, transaction)), transaction)
        return self.joined(found[CONNECTION_ID]) if CONNECTION_ID in found else code(found)

    def joined(self, connection):
        """The data connection of a peer's connection."""
        with self.inside():
            other = Allocation(self.server, "", self.secret, self.source, stream=True)
        other.user, other.password = self.user, self.password
        other.must(CONNECTION_BIND, attribute(CONNECTION_ID, connection))
        return other.socket

    def delete(self):
        self.socket.settimeout(0.5)
        self.must(REFRESH, attribute(LIFETIME, bytes(4)))
