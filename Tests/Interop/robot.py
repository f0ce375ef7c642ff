"""A robot: an ordinary account that answers what it is told, alone and in groups. Shares no code with Edge.

    robot.py --server 127.0.0.1:5060 --user robot --password-file F [--domain rv.example.org]

It subscribes to its own topic (Event: im, the topic in the body) and answers every text with "you said: TEXT", to the
sender or, when it came from a group, to the group.
"""

import argparse
import asyncio
import email.parser
import pathlib
import re

from sip_client import Dialog, Refused, SIPClient


def content(message):
    """Sender, group or None, and text of a message/cpim body (RFC 3862)."""
    head, _, rest = message.body.partition(b"\r\n\r\n")
    headers = email.parser.Parser().parsestr(head.decode())
    _, _, text = rest.partition(b"\r\n\r\n")
    name = lambda field: re.search(r"sip:([^@>]*)@", headers[field] or "")[1]
    return name("From"), name("To"), text.decode()


async def say(client, receiver, text):
    uri = f"sip:{receiver}@{client.domain}"
    response, _ = await client.exchange(client.outside("MESSAGE", uri, [("Content-Type", "text/plain")], text.encode()))
    print(f"to {receiver}: {response.start}", flush=True)


async def run(arguments):
    host, _, port = arguments.server.rpartition(":")
    client = SIPClient(arguments.user, pathlib.Path(arguments.password_file).read_text().strip(), arguments.domain)
    await client.connect(host, int(port), arguments.ca)
    uri = f"sip:{client.user}@{client.domain}"
    response, request = await client.exchange(client.outside("SUBSCRIBE", uri, [
        ("Contact", f'{client.contact};+sip.instance="<{client.instance}>"'), ("Event", "im"), ("Accept", "message/cpim"),
        ("Expires", "3600"), ("Content-Type", "text/plain")], client.user.encode()))
    if response.status != 200:
        raise Refused(response)
    Dialog(client, request, response)
    print("listening", flush=True)
    while message := await client.requests.get():
        if message.method != "NOTIFY" or not message.body:
            continue
        sender, receiver, text = content(message)
        # Of another robot's answers no end would come.
        if not text.startswith("you said: "):
            await say(client, sender if receiver == client.user else receiver, f"you said: {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--domain", default="rv.example.org")
    parser.add_argument("--ca")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", required=True)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
