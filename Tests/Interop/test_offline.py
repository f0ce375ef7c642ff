"""Messages for who is not there, over MSRP: every step on the wire, as tshark reads it, between separate processes.

One application server, three media servers of different weight, and user agents that share no code with Edge.
"""

import asyncio
import json
import os
import pathlib
import re
import secrets
import subprocess

from harness import Case
from harness.nodes import DOMAIN, Server, yaml
from msrp_client import Endpoint, description, path_of
from sip_client import SIPClient

HERE = pathlib.Path(__file__).resolve().parent
WEIGHTS = [1, 2, 4]
TEXT = ("A long message. " * 300).encode()


def own_address():
    """All of 127.0.0.0/8 is this machine: an address of this test's own."""
    pid = os.getpid()
    return f"127.{pid >> 14 & 127 or 1}.{pid >> 7 & 127}.{pid & 127 or 1}"


class MediaServer:
    """edge-rendezvous media-server."""

    def __init__(self, case, number, secret):
        self.case, self.number = case, number
        self.sip, self.msrp = 5070 + number, 2860 + number
        folder = case.folder / f"media{number}"
        folder.mkdir()
        self.config = folder / "media.yaml"
        self.config.write_text(yaml({
            "domain": DOMAIN, "listen": {"sip-tcp": f"{case.address}:{self.sip}", "msrp": f"{case.address}:{self.msrp}"},
            "media": {"host": case.address, "secret-file": str(secret)}, "database": str(folder / "media.sqlite")}))

    def start(self):
        self.process = self.case.start(f"media{self.number}", [
            self.case.program("edge-rendezvous"), "media-server", "--config", self.config])
        self.process.wait_for("event=ready", 15)
        return self


def start_split(case, weights):
    """The two roles in processes of their own: the server, and a media server for each weight."""
    secret = case.folder / "secret"
    secret.write_text(secrets.token_hex(16))
    media = [MediaServer(case, number + 1, secret).start() for number in range(len(weights))]
    server = Server(case, None, address=case.address)
    settings = json.loads(server.config.read_text())
    settings["media"] = {"secret-file": str(secret), "servers": [
        {"address": f"{case.address}:{each.sip}", "weight": weight} for each, weight in zip(media, weights)]}
    server.config.write_text(yaml(settings))
    server.start()
    for _ in media:
        server.process.wait_for("event=offline-media-ready", 10)
    return server, media


class Offline(Case):
    seconds = 90

    def setUp(self):
        super().setUp()
        self.address = own_address()
        self.server, self.media = start_split(self, WEIGHTS)
        for name in ("anna", "gate-box"):
            self.server.account(name)
        self.server.must("contact", "add", "anna", "gate-box")

    async def agent(self, name):
        agent = SIPClient(name, f"secret of {name}", DOMAIN)
        await agent.connect(self.address, 5060)
        return agent

    def uri(self):
        return f"msrp://{self.address}:9/{secrets.token_hex(10)};tcp"

    async def call(self, anna, callee="gate-box"):
        """Calls who is not there: the dialog and what the answer says."""
        uri = self.uri()
        answer, dialog = await anna.invite(callee, description(uri, "active", "sendonly"))
        return uri, answer, dialog

    async def leave(self, anna, *bodies, callee="gate-box"):
        uri, answer, dialog = await self.call(anna, callee)
        link = Endpoint(uri)
        await link.connect(path_of(answer))
        for body in bodies:
            self.assertEqual(set(await link.send(body)), {"200"})
        self.assertEqual(await anna.bye(dialog), 200)
        link.close()

    async def fetch(self, count):
        """Logs in as the box and takes what it is called with: (caller, body) in order, and the agent."""
        box = await self.agent("gate-box")
        self.last_instance = box.instance
        uri = self.uri()
        box.answer_to_invite = lambda invite: description(uri, "active", "recvonly").encode()
        await box.register()
        found = []
        while len(found) < count:
            invite = await asyncio.wait_for(box.requests.get(), 15)
            if invite.method != "INVITE":
                continue
            link = Endpoint(uri)
            await link.connect(path_of(invite.body.decode()))
            link.request("SEND", [f"Message-ID: {secrets.token_hex(8)}"])
            caller = re.search(r"sip:([^@]+)@", invite.get("from"))[1]
            # Messages are answered as they come; the service ends the call when it has no more.
            while (await asyncio.wait_for(box.requests.get(), 15)).method != "BYE":
                pass
            while not link.messages.empty():
                found.append((caller, link.messages.get_nowait()[1]))
            self.assertEqual(link.received[0].what, "200")
            link.close()
        return found, box

    # MARK: What was on the wire

    def capture(self):
        self.file = self.folder / "capture.pcapng"
        process = self.start("dumpcap", ["dumpcap", "-q", "-i", "lo", "-f", f"tcp and host {self.address}", "-w", self.file])
        self.wait_until(lambda: self.file.exists() and self.file.stat().st_size > 0, 10, "dumpcap does not capture")
        return process

    def decoded(self, process, names):
        """Every SIP and MSRP message and control frame in order, as `who>whom what`."""
        process.stop()
        decode = [word for media in self.media for word in
                  ("-d", f"tcp.port=={media.sip},sip", "-d", f"tcp.port=={media.msrp},msrp")]
        done = subprocess.run(
            ["tshark", "-r", self.file, *decode, "-Y", 'sip || msrp || tcp.payload contains "CFW "', "-T", "fields",
             "-E", "separator=;", "-E", "aggregator=,", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "sip.Method",
             "-e", "sip.Status-Code", "-e", "sip.CSeq.method", "-e", "sdp.media", "-e", "msrp.method",
             "-e", "msrp.status.code", "-e", "tcp.payload"], capture_output=True, text=True, check=True)
        events = []
        for line in done.stdout.splitlines():
            source, target, method, status, sequence, sdp, msrp, code, payload = line.split(";")
            who = f"{self.name(source, target, names)}>{self.name(target, source, names)}"
            body = " sdp" if sdp else ""
            raw = bytes.fromhex(payload.split(",")[0]).decode(errors="replace")
            if method:
                events += [f"{who} {each}{body if each == 'INVITE' or len(method.split(',')) == 1 else ''}"
                           for each in method.split(",")]
            if status:
                events += [f"{who} {each} {of}{body if of == 'INVITE' else ''}"
                           for each, of in zip(status.split(","), sequence.split(","))]
            if msrp or code:
                events += [f"{who} MSRP {each}" for each in (msrp + "," + code).split(",") if each]
            for what, frame in re.findall(r"CFW \S+ (\w+)\r\n(.*?)(?=CFW |\Z)", raw, re.S):
                element = re.search(r"<(RestoreMsg|MsgRestored|SendMsg|MsgSended) ", frame)
                events.append(f"{who} CFW {what}" + (f" {element[1]}" if element else ""))
                if element:
                    self.bodies.append(re.search(r"<re.*", frame, re.S)[0])
        return events

    def name(self, port, other, names):
        for media in self.media:
            if int(port) in (media.sip, media.msrp):
                return f"ms{media.number}"
        if int(port) == 5060:
            return "proxy"
        if port in names:
            return names[port]
        # The far end of a media server's SIP or control connection.
        return "as" if any(int(other) == media.sip for media in self.media) else "ua"

    def assert_order(self, events, expected):
        """All of `expected` are there, in this order."""
        rest = iter(events)
        for step in expected:
            self.assertTrue(any(step == each for each in rest), f"no '{step}' in its place in:\n" + "\n".join(events))

    def test_a_call_for_who_is_not_there_is_stored_and_brought_when_they_register(self):
        self.bodies = []
        process = self.capture()

        async def run():
            anna = await self.agent("anna")
            await anna.register()
            await self.leave(anna, TEXT, b"second")
            found, box = await self.fetch(2)
            await asyncio.sleep(0.3)
            names = {anna.local.split(":")[1]: "anna", box.local.split(":")[1]: "box"}
            await anna.close()
            await box.close()
            return found, names

        found, names = asyncio.run(run())
        self.assertEqual([caller for caller, _ in found], ["anna", "anna"])
        for (_, body), sent in zip(found, (TEXT, b"second")):
            self.assertTrue(body.endswith(b"\r\n\r\n" + sent), body[:200])
            self.assertIn(f"From: <sip:anna@{DOMAIN}>".encode(), body)
        events = self.decoded(process, names)
        # FLOWS 2.2, 2.4: the caller's offer goes on to the media server, its answer back; the caller ends it.
        self.assert_order(events, [
            "anna>proxy INVITE sdp", "as>ms3 INVITE sdp", "ms3>as 200 INVITE sdp", "as>ms3 ACK",
            "as>ms3 CFW CONTROL RestoreMsg", "ms3>as CFW 200 MsgRestored", "proxy>anna 200 INVITE sdp", "anna>proxy ACK",
            "ua>ms3 MSRP SEND", "ms3>ua MSRP 200", "ms3>as CFW CONTROL MsgRestored", "anna>proxy BYE", "proxy>anna 200 BYE"])
        self.assertNotIn("proxy>anna BYE", events)
        # 2.3: the registration; 2.4: the call set up by a third party; the service says BYE.
        self.assert_order(events, [
            "box>proxy REGISTER", "as>ms3 CFW CONTROL SendMsg", "ms3>as CFW 200 MsgSended", "as>ms3 INVITE",
            "ms3>as 200 INVITE sdp", "proxy>box INVITE sdp", "box>proxy 200 INVITE sdp", "proxy>box ACK",
            "as>ms3 ACK sdp", "as>ms3 CFW CONTROL SendMsg", "ms3>ua MSRP SEND", "ua>ms3 MSRP 200", "ms3>ua MSRP SEND",
            "ua>ms3 MSRP 200", "ms3>as CFW 200 MsgSended", "proxy>box BYE", "box>proxy 200 BYE"])
        anna, box = f"sip:anna@{DOMAIN}", f"sip:gate-box@{DOMAIN}"
        control = "\n".join(self.bodies)
        self.assertRegex(control, f'<request><RestoreMsg from-uri="{anna}" to-uri="{box}" connection-id="[^"]+"/></request>')
        self.assertRegex(control, f'<response><MsgRestored from-uri="{anna}" to-uri="{box}" connection-id="[^"]+"')
        self.assertRegex(control, f'<request><SendMsg from-uri="{anna}" to-uri="{box}" connection-id="[^"]+"')
        self.assertRegex(control, f'<response><MsgSended from-uri="{anna}" to-uri="{box}" connection-id="[^"]+".* count="2"')

    def test_sipp_is_called_in_the_senders_name_and_told_goodbye(self):
        self.server.account("old-phone", password="opensesame", md5=True)
        self.server.must("contact", "add", "anna", "old-phone")
        sent = [TEXT, *(f"number {number}".encode() for number in range(9))]

        async def run():
            anna = await self.agent("anna")
            await anna.register()
            await self.leave(anna, *sent, callee="old-phone")
            await anna.close()
            accepted = asyncio.Queue()
            listener = await asyncio.start_server(lambda *pair: accepted.put_nowait(pair), self.address, 0)
            port = listener.sockets[0].getsockname()[1]
            uri = f"msrp://{self.address}:{port}/{secrets.token_hex(10)};tcp"
            # Two programs, one after the other at the same port: what comes in between comes again (RFC 3261 §17.1.1.2).
            done = await asyncio.to_thread(self.sipp, "register.xml", "-inf", self.users())
            self.assertEqual(done.returncode, 0, f"{done.stdout[-1500:]}{self.told()}")
            phone = asyncio.create_task(asyncio.to_thread(
                self.sipp, "push.xml", "-key", "path", uri, "-key", "msrp_port", port))
            reader, writer = await asyncio.wait_for(accepted.get(), 15)
            link = Endpoint(uri)
            link.use(reader, writer)
            found = [(await asyncio.wait_for(link.messages.get(), 15))[1] for _ in sent]
            done = await phone
            link.close()
            self.assertEqual(done.returncode, 0, f"{done.stdout[-1500:]}{self.told()}")
            return found

        found = asyncio.run(run())
        self.assertEqual([body.partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[2] for body in found], sent)

    def users(self):
        users = self.folder / "users.csv"
        users.write_text("SEQUENTIAL\nold-phone;[authentication username=old-phone password=opensesame];\n")
        return users

    def sipp(self, scenario, *more):
        return self.complete([
            "sipp", f"{self.address}:5060", "-sf", HERE / scenario, "-s", DOMAIN, "-t", "u1", "-i", self.address, "-p", "5095",
            "-m", "1", "-nostdin", "-timeout", "20", "-timeout_error", "-trace_err", "-error_file", self.folder / "sipp.log",
            *more], cwd=self.folder)

    def told(self):
        log = self.folder / "sipp.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def test_the_media_server_with_fewest_sessions_for_its_weight_takes_the_next(self):
        async def run():
            anna = await self.agent("anna")
            await anna.register()
            ports, dialogs = [], []
            for _ in range(14):
                _, answer, dialog = await self.call(anna)
                ports.append(int(path_of(answer)[0].split(":")[2].split("/")[0]))
                dialogs.append(dialog)
            # Two that end make room where they were.
            freed = [index for index, port in enumerate(ports) if port == self.media[0].msrp]
            for index in freed:
                self.assertEqual(await anna.bye(dialogs[index]), 200)
            _, answer, _ = await self.call(anna)
            await anna.close()
            return ports, int(path_of(answer)[0].split(":")[2].split("/")[0])

        ports, next_port = asyncio.run(run())
        self.assertEqual([ports.count(media.msrp) for media in self.media], [2, 4, 8])
        self.assertEqual(next_port, self.media[0].msrp)

    def test_nothing_is_lost_or_doubled_when_servers_are_killed(self):
        async def store():
            anna = await self.agent("anna")
            await anna.register()
            await self.leave(anna, b"before the crash")
            await anna.close()

        async def fetch():
            found, box = await self.fetch(1)
            await box.close()
            return found

        asyncio.run(store())
        # Everything stops at once, as by a power cut, and starts again.
        for each in [self.server.process, *[media.process for media in self.media]]:
            each.kill()
        for media in self.media:
            media.start()
        self.server.start()
        self.server.process.wait_for("event=offline-media-ready", 10)
        self.assertEqual([body.rpartition(b"\r\n\r\n")[2] for _, body in asyncio.run(fetch())], [b"before the crash"])

        async def again():
            box = await self.agent("gate-box")
            box.instance = self.last_instance
            await box.register()
            try:
                return await asyncio.wait_for(box.requests.get(), 1)
            except asyncio.TimeoutError:
                return None
            finally:
                await box.close()
        # The same terminal again: it has everything.
        self.assertIsNone(asyncio.run(again()))
