"""Registers a terminal for each of many accounts over UDP, and answers 200 to every MESSAGE it gets.

    terminals.py HOST:PORT DOMAIN COUNT PASSWORD

Prints `ready` once all are registered, the number of messages got once a second after, and ends when its standard
input does.
"""

import asyncio
import pathlib
import re
import secrets
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Interop"))
from sip_client import digest  # noqa: E402

COPIED = re.compile(rb"^(?:Via|From|To|Call-ID|CSeq|Record-Route|v|f|t|i)[ \t]*:.*\r\n", re.M | re.I)


class Terminal(asyncio.DatagramProtocol):
    got = set()

    def __init__(self, number, domain, password):
        self.user, self.domain, self.password = f"phone-{number}", domain, password
        self.address = f"127.8.{number // 200}.{number % 200 + 1}"
        self.call_id = secrets.token_hex(12)
        self.registered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]
        self.register(1)

    def register(self, sequence, credentials=None):
        lines = [
            f"REGISTER sip:{self.domain} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK{secrets.token_hex(8)};rport", "Max-Forwards: 70",
            f"From: <sip:{self.user}@{self.domain}>;tag={secrets.token_hex(4)}", f"To: <sip:{self.user}@{self.domain}>",
            f"Call-ID: {self.call_id}", f"CSeq: {sequence} REGISTER",
            f"Contact: <sip:{self.user}@{self.address}:{self.port}>", "Expires: 3000"]
        if credentials:
            lines.append(f"Authorization: {credentials}")
        self.transport.sendto(("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode())

    def datagram_received(self, data, address):
        if data.startswith(b"SIP/2.0 401"):
            text = re.search(rb"^WWW-Authenticate: (.*?)\r$", data, re.M | re.I)[1].decode()
            self.register(2, digest(text, "REGISTER", f"sip:{self.domain}", self.user, self.password))
        elif data.startswith(b"SIP/2.0 200"):
            if not self.registered.done():
                self.registered.set_result(None)
        elif data.startswith(b"MESSAGE "):
            head = data[:data.find(b"\r\n\r\n") + 2]
            fields = COPIED.findall(head)
            self.transport.sendto(b"SIP/2.0 200 OK\r\n" + b"".join(fields) + b"Content-Length: 0\r\n\r\n")
            self.got.add(next(each for each in fields if each[:7].lower() == b"call-id"))


async def main():
    server, domain, count, password = sys.argv[1:]
    host, _, port = server.rpartition(":")
    loop = asyncio.get_running_loop()
    for number in range(int(count)):
        terminal = Terminal(number, domain, password)
        await loop.create_datagram_endpoint(
            lambda: terminal, local_addr=(terminal.address, 0), remote_addr=(host, int(port)))
        await asyncio.wait_for(terminal.registered, 10)
    print("ready", flush=True)
    ended = loop.run_in_executor(None, sys.stdin.read)
    while not ended.done():
        await asyncio.wait([ended], timeout=0.5)
        print(f"got {len(Terminal.got)}", flush=True)


asyncio.run(main())
