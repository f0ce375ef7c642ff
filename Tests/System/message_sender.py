"""Sends numbered messages from one account to several, one after the other to each, and can be killed at any moment.

    message_sender.py HOST:PORT USER JOURNAL COUNT PAUSE RECEIVER...

What got its 2xx is in the journal, one `RECEIVER NUMBER` a line; after a start it goes on behind that. What got no
answer is sent again under the same name. Prints `done` at the end.
"""

import asyncio
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Interop"))
from sip_client import SIPClient  # noqa: E402

DOMAIN = "rv.example.org"


def accepted(journal):
    """The next number for each receiver."""
    next_number = {}
    for line in journal.read_text().splitlines() if journal.exists() else []:
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            next_number[words[0]] = int(words[1]) + 1
    return next_number


class Sender:
    def __init__(self, server, user, journal, count, pause):
        self.host, _, self.port = server.rpartition(":")
        self.user, self.count, self.pause = user, count, pause
        self.next_number = accepted(journal)
        self.journal = open(journal, "a", buffering=1)
        # A line that a kill cut short.
        self.journal.write("\n")
        self.client = None
        self.opening = asyncio.Lock()

    async def connection(self):
        async with self.opening:
            if self.client and (self.client.reader.at_eof() or self.client.writer.is_closing()):
                await self.client.close()
                self.client = None
            if not self.client:
                client = SIPClient(self.user, f"secret of {self.user}", DOMAIN)
                await asyncio.wait_for(client.connect(self.host, int(self.port)), 2)
                self.client = client
            return self.client

    async def send(self, receiver, number):
        """Whether it was taken."""
        body = (f"From: <sip:{self.user}@{DOMAIN}>\r\nTo: <sip:{receiver}@{DOMAIN}>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
                f"imdn.Message-ID: {self.user}-{number}\r\n\r\nContent-Type: text/plain\r\n\r\n{self.user} {number}").encode()
        try:
            client = await self.connection()
            request = client.outside("MESSAGE", f"sip:{receiver}@{DOMAIN}", [("Content-Type", "message/cpim")], body)
            response, _ = await client.exchange(request, seconds=3)
        except (OSError, asyncio.TimeoutError):
            return False
        # 480: as much waits as may, 503: it could not be stored.
        if response.status not in (200, 202, 480, 503):
            raise SystemExit(f"{self.user} to {receiver}: {response.start}")
        return response.status < 300

    async def run(self, receiver):
        for number in range(self.next_number.get(receiver, 0), self.count):
            while not await self.send(receiver, number):
                await asyncio.sleep(0.1)
            self.journal.write(f"{receiver} {number}\n")
            if self.pause:
                await asyncio.sleep(random.uniform(0, 2 * self.pause))


async def main():
    server, user, journal, count, pause, *receivers = sys.argv[1:]
    sender = Sender(server, user, pathlib.Path(journal), int(count), float(pause))
    await asyncio.gather(*(sender.run(receiver) for receiver in receivers))
    print("done", flush=True)


asyncio.run(main())
