"""Registers many devices with a server and holds them there; each has an address and an account of its own.

    devices.py udp|tls HOST:PORT DOMAIN COUNT FIRST [CA]

Prints `ready` once all are registered, and ends when its standard input does.
"""

import asyncio
import pathlib
import re
import secrets
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Interop"))
from sip_client import digest  # noqa: E402

AT_ONCE = 32
CONTACTS_PER_ACCOUNT = 10


def account(number):
    return f"device-{number // CONTACTS_PER_ACCOUNT}"


class Device:
    def __init__(self, number, transport, domain):
        self.number, self.transport, self.domain = number, transport, domain
        self.user = account(number)
        # Every address in 127/8 is this machine's.
        self.address = f"127.7.{number // 200}.{number % 200 + 1}"
        self.answers = asyncio.Queue()
        self.call_id = secrets.token_hex(12)

    def request(self, sequence, port, credentials=None):
        lines = [
            f"REGISTER sip:{self.domain} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} {self.address}:{port};branch=z9hG4bK{secrets.token_hex(8)};rport",
            "Max-Forwards: 70", f"From: <sip:{self.user}@{self.domain}>;tag={secrets.token_hex(4)}",
            f"To: <sip:{self.user}@{self.domain}>", f"Call-ID: {self.call_id}", f"CSeq: {sequence} REGISTER",
            f"Contact: <sip:{self.user}@{self.address}:{port};transport={self.transport}>", "Expires: 3000"]
        if credentials:
            lines.append(f"Authorization: {credentials}")
        return ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode()

    async def register(self, send, port):
        send(self.request(1, port))
        challenge = await asyncio.wait_for(self.answers.get(), 10)
        text = re.search(rb"^WWW-Authenticate: (.*?)\r$", challenge, re.M | re.I)[1].decode()
        send(self.request(2, port, digest(text, "REGISTER", f"sip:{self.domain}", self.user, f"secret of {self.user}")))
        answer = await asyncio.wait_for(self.answers.get(), 10)
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise SystemExit(f"device {self.number}: {answer.decode(errors='replace')}")

    async def over_udp(self, host, port):
        device = self

        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                device.answers.put_nowait(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Protocol, local_addr=(self.address, 0), remote_addr=(host, port))
        self.kept = transport
        await self.register(transport.sendto, transport.get_extra_info("sockname")[1])

    async def over_tls(self, host, port, context):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=self.domain, local_addr=(self.address, 0))
        self.kept = reader, writer

        async def read():
            while True:
                self.answers.put_nowait(await reader.readuntil(b"\r\n\r\n"))

        self.reading = asyncio.create_task(read())
        await self.register(writer.write, writer.get_extra_info("sockname")[1])


async def main():
    transport, server, domain, count, first, *ca = sys.argv[1:]
    host, _, port = server.rpartition(":")
    context = ssl.create_default_context(cafile=ca[0]) if ca else None
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(device):
        async with gate:
            await (device.over_tls(host, int(port), context) if context else device.over_udp(host, int(port)))

    devices = [Device(number, transport, domain) for number in range(int(first), int(first) + int(count))]
    await asyncio.gather(*map(one, devices))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
