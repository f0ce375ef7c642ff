"""A small SIP client over TCP and TLS, written for the tests from the RFCs and sharing no code with Edge.

As a program it watches a serial and prints one JSON line per NOTIFY:

    sip_client.py watch --server 203.0.113.10:5061 --ca ca.pem --user anna --password-file F SERIAL
"""

import argparse
import asyncio
import hashlib
import json
import pathlib
import re
import secrets
import ssl
import sys
import time


class Message:
    """A request or response: start line, headers in order, body."""

    def __init__(self, start, headers=(), body=b""):
        self.start, self.headers, self.body = start, list(headers), body

    @classmethod
    def parse(cls, head, body):
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode(errors="replace")).split("\r\n")
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.append((COMPACT.get(name.strip().lower(), name.strip().lower()), value.strip()))
        return cls(lines[0], headers, body)

    def get(self, name, default=""):
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else None

    @property
    def method(self):
        return None if self.status else self.start.split()[0]

    def bytes(self):
        lines = [self.start, *[f"{name}: {value}" for name, value in self.headers], f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
           "c": "content-type", "o": "event", "k": "supported", "u": "allow-events"}
HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def digest(challenge, method, uri, user, password):
    """RFC 7616 §3.4 with qop=auth, for one challenge."""
    fields = {name.lower(): quoted if quoted else plain for name, quoted, plain in
              re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', challenge)}
    algorithm = fields.get("algorithm", "MD5")
    hashed = lambda text: HASHES[algorithm](text.encode()).hexdigest()
    cnonce, count = secrets.token_hex(8), "00000001"
    first = hashed(f"{user}:{fields['realm']}:{password}")
    second = hashed(f"{method}:{uri}")
    response = hashed(f"{first}:{fields['nonce']}:{count}:{cnonce}:auth:{second}")
    text = (f'Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{uri}", '
            f'response="{response}", algorithm={algorithm}, qop=auth, nc={count}, cnonce="{cnonce}"')
    return text + (f', opaque="{fields["opaque"]}"' if "opaque" in fields else "")


class Refused(Exception):
    def __init__(self, response):
        super().__init__(response.start)
        self.status = response.status


class Dialog:
    """What RFC 3261 §12 keeps on the side that asked first."""

    def __init__(self, client, request, response):
        self.client = client
        self.call_id = request.get("call-id")
        self.sequence = int(request.get("cseq").split()[0])
        self.local, self.remote = request.get("from"), response.get("to")
        contact = re.search(r"<([^>]*)>", response.get("contact"))
        self.target = contact[1] if contact else response.get("contact").split(";")[0]
        self.routes = [each for line in response.all("record-route") for each in re.findall(r"<[^>]*>", line)][::-1]

    def request(self, method, headers=(), body=b"", sequence=None):
        if sequence is None:
            self.sequence += 1
        return self.client.make(method, self.target, self.local, self.remote, self.call_id,
                                self.sequence if sequence is None else sequence,
                                [("Route", route) for route in self.routes] + list(headers), body)


class SIPClient:
    def __init__(self, user, password, domain):
        self.user, self.password, self.domain = user, password, domain
        self.instance = f"urn:uuid:{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}"
        self.waiting = {}
        # Requests from the other side, answered 200 already.
        self.requests = asyncio.Queue()
        self.pongs = 0
        # Makes the answer to the offer of a call.
        self.answer_to_invite = None

    async def connect(self, host, port, ca=None):
        context = None
        if ca:
            context = ssl.create_default_context(cafile=str(ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.transport = "TLS" if ca else "TCP"
        self.reader, self.writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=self.domain if ca else None)
        address = self.writer.get_extra_info("sockname")
        self.local = f"{address[0]}:{address[1]}"
        self.tasks = [asyncio.create_task(self.receive()), asyncio.create_task(self.ping())]

    async def close(self):
        for task in self.tasks:
            task.cancel()
        self.writer.close()

    @property
    def contact(self):
        return f"<sip:{self.user}@{self.local};transport={self.transport.lower()};ob>"

    def make(self, method, uri, source, target, call_id, sequence, headers=(), body=b""):
        return Message(f"{method} {uri} SIP/2.0", [
            ("Via", f"SIP/2.0/{self.transport} {self.local};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"), ("From", source), ("To", target), ("Call-ID", call_id),
            ("CSeq", f"{sequence} {method}"), *headers], body)

    def outside(self, method, uri, headers=(), body=b"", target=None):
        """A request outside of any dialog."""
        return self.make(method, uri, f"<sip:{self.user}@{self.domain}>;tag={secrets.token_hex(6)}",
                         target or f"<{uri}>", secrets.token_hex(12), 1, headers, body)

    def send(self, message):
        self.writer.write(message.bytes())

    async def exchange(self, request, on_provisional=None, seconds=32):
        """Sends, answers one challenge, and returns the final response and the request it answered."""
        for attempt in range(2):
            branch = re.search(r"branch=([^;]+)", request.get("via"))[1]
            answers = self.waiting[branch] = asyncio.Queue()
            self.send(request)
            try:
                while True:
                    response = await asyncio.wait_for(answers.get(), seconds)
                    if response.status >= 200:
                        break
                    if on_provisional:
                        on_provisional(request, response)
            finally:
                del self.waiting[branch]
            method = request.method
            if method == "INVITE" and response.status >= 300:
                ack = [(name, value if name != "CSeq" else value.replace("INVITE", "ACK"))
                       for name, value in request.headers if name in ("Via", "Max-Forwards", "From", "Call-ID", "CSeq", "Route")]
                self.send(Message(request.start.replace("INVITE", "ACK", 1), [*ack, ("To", response.get("to"))]))
            field = {401: ("www-authenticate", "Authorization"),
                     407: ("proxy-authenticate", "Proxy-Authorization")}.get(response.status)
            if not field or attempt == 1:
                return response, request
            uri = request.start.split()[1]
            credentials = digest(response.get(field[0]), method, uri, self.user, self.password)
            number = int(request.get("cseq").split()[0]) + 1
            headers = []
            for name, value in request.headers:
                if name == "Via":
                    value = re.sub(r"branch=[^;]+", f"branch=z9hG4bK{secrets.token_hex(8)}", value)
                headers.append((name, f"{number} {method}" if name == "CSeq" else value))
            request = Message(request.start, [*headers, (field[1], credentials)], request.body)
        raise AssertionError("not reached")

    async def register(self, expires=600):
        uri = f"sip:{self.domain}"
        request = self.outside("REGISTER", uri, [
            ("Contact", f'{self.contact};+sip.instance="<{self.instance}>";reg-id=1'), ("Expires", str(expires)),
            ("Supported", "path, outbound")], target=f"<sip:{self.user}@{self.domain}>")
        response, _ = await self.exchange(request)
        if response.status != 200:
            raise Refused(response)
        return response

    async def subscribe(self, serial, expires=600):
        uri = f"sip:{serial}@{self.domain}"
        response, request = await self.exchange(self.outside("SUBSCRIBE", uri, [
            ("Contact", self.contact), ("Event", "presence"), ("Accept", "application/pidf+xml"),
            ("Expires", str(expires)), ("Supported", "path, outbound")]))
        if response.status not in (200, 202):
            raise Refused(response)
        return Dialog(self, request, response)

    async def invite(self, serial, offer, on_provisional=None):
        """Returns the answer and the dialog; the ACK is sent.

        Without an offer the other side's is returned (RFC 3261 §13.2.1), and `answer` must follow.
        """
        uri = f"sip:{serial}@{self.domain}"
        body = offer.encode() if offer else b""
        response, request = await self.exchange(self.outside("INVITE", uri, [
            ("Contact", self.contact), *([("Content-Type", "application/sdp")] if body else []),
            ("Supported", "path, outbound, trickle-ice"), ("Recv-Info", "trickle-ice"),
            ("Allow", "INVITE, ACK, CANCEL, BYE, INFO, NOTIFY, OPTIONS")], body), on_provisional)
        if response.status != 200:
            raise Refused(response)
        dialog = Dialog(self, request, response)
        if offer:
            self.send(dialog.request("ACK", sequence=dialog.sequence))
        return response.body.decode(), dialog

    def answer(self, dialog, answer):
        """The answer to the other side's offer, in the ACK."""
        self.send(dialog.request("ACK", [("Content-Type", "application/sdp")] if answer else [], answer.encode(),
                                 sequence=dialog.sequence))

    async def bye(self, dialog):
        response, _ = await self.exchange(dialog.request("BYE"))
        return response.status

    async def ping(self):
        """RFC 5626 §4.4.1."""
        while True:
            await asyncio.sleep(15)
            self.writer.write(b"\r\n\r\n")

    async def receive(self):
        buffer = b""
        while data := await self.reader.read(65536):
            buffer += data
            while True:
                while buffer.startswith(b"\r\n"):
                    buffer = buffer[2:]
                    self.pongs += 1
                head, separator, rest = buffer.partition(b"\r\n\r\n")
                if not separator:
                    break
                length = re.search(rb"^(?:content-length|l)[ \t]*:[ \t]*(\d+)", head, re.I | re.M)
                length = int(length[1]) if length else 0
                if len(rest) < length:
                    break
                buffer = rest[length:]
                await self.take(Message.parse(head, rest[:length]))
        await self.requests.put(None)

    async def take(self, message):
        if message.status:
            branch = re.search(r"branch=([^;,\s]+)", message.get("via"))
            if branch and branch[1] in self.waiting:
                await self.waiting[branch[1]].put(message)
            return
        if message.method != "ACK":
            copied = [(name.title(), value) for name, value in message.headers
                      if name in ("via", "from", "call-id", "cseq", "record-route")]
            target = message.get("to")
            if "tag=" not in target:
                target += f";tag={secrets.token_hex(6)}"
            body = self.answer_to_invite(message) if message.method == "INVITE" and self.answer_to_invite else b""
            kind = [("Content-Type", "application/sdp")] if body else []
            self.send(Message("SIP/2.0 200 OK", [*copied, ("To", target), ("Contact", self.contact), *kind], body))
        await self.requests.put(message)


def tuples(body):
    """serial -> open or closed, of a PIDF document."""
    found = {}
    for part in re.findall(r"<(?:\w+:)?tuple.*?</(?:\w+:)?tuple>", body, re.S):
        serial = re.search(r"<(?:\w+:)?serial>([^<]*)<", part)
        basic = re.search(r"<(?:\w+:)?basic>([^<]*)<", part)
        if serial and basic:
            found[serial[1]] = basic[1]
    return found


async def watch(arguments):
    host, _, port = arguments.server.rpartition(":")
    client = SIPClient(arguments.user, pathlib.Path(arguments.password_file).read_text().strip(), arguments.domain)
    await client.connect(host, int(port), arguments.ca)
    await client.register()
    await client.subscribe(arguments.serial)
    print(json.dumps({"time": time.monotonic(), "event": "subscribed"}), flush=True)
    while message := await client.requests.get():
        if message.method == "NOTIFY":
            print(json.dumps({"time": time.monotonic(), "event": "notify", "state": message.get("subscription-state"),
                              "serials": tuples(message.body.decode(errors="replace"))}), flush=True)
    print(json.dumps({"time": time.monotonic(), "event": "closed"}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["watch"])
    parser.add_argument("serial")
    parser.add_argument("--server", required=True)
    parser.add_argument("--domain", default="rv.example.org")
    parser.add_argument("--ca")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", required=True)
    asyncio.run(watch(parser.parse_args()))


if __name__ == "__main__":
    main()
