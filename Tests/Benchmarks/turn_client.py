"""Enough of a TURN client (RFC 8656) to hold many allocations; credentials as coturn's REST API has them."""

import base64
import hashlib
import hmac
import os
import socket
import struct
import time

COOKIE = 0x2112A442
ALLOCATE, REFRESH = 0x003, 0x004
USERNAME, INTEGRITY, REALM, NONCE, TRANSPORT = 0x0006, 0x0008, 0x0014, 0x0015, 0x0019


def attribute(kind, value):
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def attributes(message):
    found, rest = {}, message[20:]
    while len(rest) >= 4:
        kind, length = struct.unpack(">HH", rest[:4])
        found.setdefault(kind, rest[4:4 + length])
        rest = rest[4 + length + -length % 4:]
    return found


def message(kind, body, key=None):
    length = len(body) + (24 if key else 0)
    head = struct.pack(">HHI", kind, length, COOKIE) + os.urandom(12)
    if key:
        body += attribute(INTEGRITY, hmac.new(key, head + body, hashlib.sha1).digest())
    return head + body


class Allocation:
    """One socket with one allocation."""

    def __init__(self, server, user, secret, source=""):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.connect(server)
        self.socket.settimeout(0.5)
        self.user = f"{int(time.time()) + 3600}:{user}".encode()
        self.password = base64.b64encode(hmac.new(secret.encode(), self.user, hashlib.sha1).digest())

    def ask(self, kind, body, key=None, tries=6):
        """The answer's class bits and attributes."""
        request = message(kind, body, key)
        for _ in range(tries):
            self.socket.send(request)
            try:
                answer = self.socket.recv(2048)
            except TimeoutError:
                continue
            if answer[8:20] == request[8:20]:
                return struct.unpack(">H", answer[:2])[0] & 0x110, attributes(answer)
        raise TimeoutError(f"no answer to {kind:#x}")

    def allocate(self):
        wanted = attribute(TRANSPORT, b"\x11\0\0\0") + attribute(0x000D, struct.pack(">I", 3600))
        _, challenge = self.ask(ALLOCATE, wanted)
        realm, nonce = challenge[REALM], challenge[NONCE]
        key = hashlib.md5(self.user + b":" + realm + b":" + self.password).digest()
        kind, found = self.ask(
            ALLOCATE, wanted + attribute(USERNAME, self.user) + attribute(REALM, realm) + attribute(NONCE, nonce), key)
        if kind != 0x100:
            raise ValueError(f"refused: {found.get(0x0009)}")
        return self
