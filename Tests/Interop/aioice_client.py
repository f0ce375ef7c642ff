"""aioice's TURN client against a relay: allocation, channels, data both ways, refresh, a stale nonce, the end.

    aioice_client.py SERVER PORT TRANSPORT SECRET PEER

PEER is the address of a UDP echo. Prints one line of JSON.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import sys
import time

from aioice import stun, turn


class Receiver(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()

    def datagram_received(self, data, address):
        self.received.put_nowait((data, address))


async def echo(transport, receiver, payload, peer):
    transport.sendto(payload, peer)
    data, address = await asyncio.wait_for(receiver.received.get(), 5)
    if (data, address) != (payload, peer):
        raise SystemExit(f"{len(data)} bytes of {address} came back instead of {len(payload)} of {peer}")


async def run(server, port, kind, secret, *peers):
    username = f"{int(time.time()) + 600}:aioice"
    password = base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()
    context = None
    if kind == "tls":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    transport, receiver = await turn.create_turn_endpoint(
        Receiver, server_addr=(server, port), username=username, password=password, ssl=context,
        transport="udp" if kind == "udp" else "tcp")
    relayed = transport.get_extra_info("sockname")
    count = 0
    # The private name is where the client's requests are; it has no public one.
    client = transport._TurnTransport__inner_protocol
    first = client.nonce
    for turn_number in range(2):
        for peer in peers:
            for size in (1, 172, 1200, 1201):
                await echo(transport, receiver, bytes([turn_number]) * size, peer)
                count += 1
        if turn_number == 0:
            # Longer than the server's nonces live.
            await asyncio.sleep(5.5)
            request = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
            request.attributes["LIFETIME"] = 700
            answer, _ = await client.request_with_retry(request)
            if answer.attributes["LIFETIME"] != 700:
                raise SystemExit(f"the lifetime is {answer.attributes['LIFETIME']}")
    changed = client.nonce != first
    transport.close()
    await asyncio.sleep(0.3)
    print(json.dumps({"relayed": relayed, "echoes": count, "nonce_changed": changed}))


if __name__ == "__main__":
    server, port, kind, secret, *peers = sys.argv[1:]
    pairs = [peer.rsplit(":", 1) for peer in peers]
    asyncio.run(run(server, int(port), kind, secret, *((host, int(number)) for host, number in pairs)))
