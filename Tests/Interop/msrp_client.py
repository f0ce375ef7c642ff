"""A small MSRP endpoint for the tests, written from RFC 4975 and sharing no code with Edge."""

import asyncio
import re
import secrets


class Part:
    """One request or response."""

    def __init__(self, start, headers, body, flag):
        self.start, self.headers, self.body, self.flag = start, headers, body, flag

    @property
    def transaction(self):
        return self.start.split()[1]

    @property
    def what(self):
        """The method or the status code."""
        return self.start.split()[2]


def path_of(sdp):
    return re.search(r"^a=path:(.*?)\r?$", sdp, re.M)[1].split()


def address_of(uri):
    host, port = re.match(r"msrps?://(?:[^@/]*@)?([^:/;]+):(\d+)", uri).groups()
    return host, int(port)


def description(uri, setup, direction="sendrecv", path=None):
    host, port = address_of(uri)
    return "\r\n".join([
        "v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=message {port} TCP/MSRP *",
        "a=accept-types:message/cpim text/plain *", f"a=path:{path or uri}", *([f"a=setup:{setup}"] if setup else []),
        f"a={direction}", ""])


class Endpoint:
    """One end of one session over one connection."""

    def __init__(self, uri):
        self.uri = uri
        self.messages = asyncio.Queue()
        self.answers = asyncio.Queue()
        self.parts = {}
        # Every request and response that came, in order.
        self.received = []

    async def connect(self, path):
        self.path = path
        self.use(*await asyncio.open_connection(*address_of(path[0])))

    def use(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.task = asyncio.create_task(self.run())

    def close(self):
        self.task.cancel()
        self.writer.close()

    def request(self, method, headers, body=None, flag="$"):
        transaction = secrets.token_hex(8)
        lines = [f"MSRP {transaction} {method}", f"To-Path: {' '.join(self.path)}", f"From-Path: {self.uri}", *headers]
        data = "\r\n".join(lines).encode() + b"\r\n"
        if body is not None:
            data += b"\r\n" + body + b"\r\n"
        self.writer.write(data + f"-------{transaction}{flag}\r\n".encode())
        return transaction

    async def send(self, body, content_type="text/plain", chunk=2048):
        """Sends a message and returns the status of each chunk."""
        name, statuses, offset = secrets.token_hex(8), [], 0
        while True:
            piece = body[offset:offset + chunk]
            end = offset + len(piece)
            self.request("SEND", [f"Message-ID: {name}", f"Byte-Range: {offset + 1}-{end}/{len(body)}",
                                  f"Content-Type: {content_type}"], piece, "$" if end == len(body) else "+")
            statuses.append((await asyncio.wait_for(self.answers.get(), 10)).what)
            offset = end
            if offset >= len(body):
                return statuses

    async def run(self):
        buffer = b""
        while data := await self.reader.read(65536):
            buffer += data
            while match := re.match(rb"MSRP (\S+) [^\r]*\r\n", buffer):
                end = re.search(rb"-------" + re.escape(match[1]) + rb"([$+#])\r\n", buffer)
                if not end:
                    break
                text, buffer = buffer[:end.start()], buffer[end.end():]
                head, separator, body = text.partition(b"\r\n\r\n")
                lines = head.decode().rstrip("\r\n").split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:])
                self.take(Part(lines[0], headers, body[:-2] if separator else None, end[1].decode()))

    def take(self, part):
        self.received.append(part)
        if part.what.isdigit():
            return self.answers.put_nowait(part)
        if part.what == "REPORT":
            return None
        first = part.headers["From-Path"].split()[0]
        self.writer.write(f"MSRP {part.transaction} 200 OK\r\nTo-Path: {first}\r\nFrom-Path: {self.uri}\r\n"
                          f"-------{part.transaction}$\r\n".encode())
        if part.body is None:
            return None
        name = part.headers["Message-ID"]
        start = int(part.headers.get("Byte-Range", "1-").split("-")[0])
        self.parts.setdefault(name, {})[start] = part.body
        if part.flag == "$":
            pieces = self.parts.pop(name)
            if part.headers.get("Success-Report") == "yes":
                size = sum(map(len, pieces.values()))
                back, self.path = getattr(self, "path", None), part.headers["From-Path"].split()
                self.request("REPORT", [f"Message-ID: {name}", f"Byte-Range: 1-{size}/{size}", "Status: 000 200 OK"])
                self.path = back or self.path
            self.messages.put_nowait((part, b"".join(pieces[key] for key in sorted(pieces))))
