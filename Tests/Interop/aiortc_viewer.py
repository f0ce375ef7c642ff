"""Watches a camera with aiortc (ICE, DTLS, SCTP nobody here wrote) and checks each frame with Python's zlib.

Prints one JSON line: what arrived and over which path. Exit status 0 when enough right frames came.
"""

import argparse
import asyncio
import json
import pathlib
import re
import sys
import time
import zlib

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from frame_decoder import FrameDecoder
from sip_client import Refused, SIPClient


async def trickled(client, connection, ended):
    """Candidates that come by INFO (RFC 8840), and the far end's BYE."""
    while message := await client.requests.get():
        if message.method == "INFO":
            for line in re.findall(r"a=candidate:(.*)", message.body.decode()):
                candidate = candidate_from_sdp(line.strip())
                candidate.sdpMLineIndex = 0
                await connection.addIceCandidate(candidate)
        elif message.method == "BYE":
            ended.set()
    ended.set()


async def view(arguments):
    host, _, port = arguments.server.rpartition(":")
    password = pathlib.Path(arguments.password_file).read_text().strip()
    client = SIPClient(arguments.user, password, arguments.domain)
    await client.connect(host, int(port), arguments.ca)
    await client.register()

    servers = [RTCIceServer(urls=f"stun:{arguments.stun}")] if arguments.stun else []
    connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
    decoder, told = FrameDecoder(), {"frames": 0, "bytes": 0, "raw_bytes": 0, "wrong": 0, "labels": []}
    started, done, ended = time.monotonic(), asyncio.Event(), asyncio.Event()

    def listen(channel):
        told["labels"].append(channel.label)

        @channel.on("message")
        def message(data):
            if channel.label != "video" or isinstance(data, str) or done.is_set():
                return
            told["bytes"] += len(data)
            # Raises when a part cannot be inflated or does not follow the one before.
            frame = decoder.receive(data)
            if frame is None:
                return
            fields, picture = frame
            told["wrong"] += zlib.adler32(picture) != fields["checksum"]
            told.setdefault("first_frame_ms", round((time.monotonic() - started) * 1000))
            told["frames"] += 1
            told["raw_bytes"] += len(picture)
            if told["frames"] >= arguments.frames:
                done.set()

    connection.on("datachannel", listen)
    if arguments.offerless:
        offer, dialog = await client.invite(arguments.serial, None)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        client.answer(dialog, connection.localDescription.sdp)
    else:
        # An offer needs a channel to have a media line for them.
        listen(connection.createDataChannel("control"))
        await connection.setLocalDescription(await connection.createOffer())
        answer, dialog = await client.invite(arguments.serial, connection.localDescription.sdp)
    told["answer_ms"] = round((time.monotonic() - started) * 1000)
    watching = asyncio.create_task(trickled(client, connection, ended))
    if not arguments.offerless:
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait([asyncio.create_task(done.wait()), asyncio.create_task(ended.wait())],
                       timeout=arguments.seconds, return_when=asyncio.FIRST_COMPLETED)
    told["connection"] = connection.connectionState
    told["ended_by_peer"] = ended.is_set()
    if not ended.is_set():
        told["bye"] = await client.bye(dialog)
    watching.cancel()
    await connection.close()
    await client.close()
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("serial")
    parser.add_argument("--server", required=True)
    parser.add_argument("--domain", default="rv.example.org")
    parser.add_argument("--ca")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", required=True)
    parser.add_argument("--stun")
    parser.add_argument("--offerless", action="store_true", help="the INVITE has no offer; the node makes one")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40)
    arguments = parser.parse_args()
    try:
        told = asyncio.run(view(arguments))
    except Refused as refused:
        print(json.dumps({"refused": refused.status}))
        return 1
    print(json.dumps(told))
    return 0 if told["frames"] >= arguments.frames else 2


if __name__ == "__main__":
    sys.exit(main())
