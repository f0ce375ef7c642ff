"""Kamailio's MSRP relay (RFC 4976) carries a message of `edge send` to a user agent that only listens."""

import asyncio
import pathlib
import secrets
import shutil
import ssl

from harness import Case
from harness.nodes import DOMAIN, Server, yaml
from msrp_client import Endpoint, description
from sip_client import SIPClient
from test_offline import own_address

HERE = pathlib.Path(__file__).resolve().parent
RELAY = 2899


class Relay(Case):
    seconds = 60

    def test_a_session_goes_through_the_relay_and_its_report_comes_back(self):
        self.make_relay("msrp")
        self.send_through("tcp:5060", "msrp")

    def test_over_tls_every_part_of_the_way_is_protected(self):
        self.make_relay("msrps")
        self.send_through("sips:5061", "msrps")
        # The same box, reached in the clear behind the relay: nothing is sent, and what cannot be is said.
        code, output, errors, found = self.send("sips:5061", "msrp")
        self.assertNotEqual(code, 0)
        self.assertIsNone(found)
        self.assertIn("a part of the way to it is not protected", errors)

    def test_a_wrong_password_is_told(self):
        self.make_relay("msrp")
        # Right at the server, and not what the relay has.
        self.server.account("bert", "other secret")
        self.server.must("contact", "add", "bert", "gate-box")
        code, output, errors, found = self.send("tcp:5060", "msrp", "bert")
        self.assertNotEqual(code, 0)
        self.assertIsNone(found)
        self.assertIn("the relay refuses the account or its password", errors)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def make_relay(self, scheme):
        self.assertTrue(shutil.which("kamailio"), "kamailio is missing: Firmware/install-packages installs it")
        self.address = own_address()
        self.scheme = scheme
        self.server = Server(self, None, address=self.address).start()
        for name in ("anna", "gate-box"):
            self.server.account(name)
        self.server.must("contact", "add", "anna", "gate-box")
        transport, more = "tcp", []
        if scheme == "msrps":
            transport, more = "tls", ["-A", "WITH_TLS"]
            made = self.complete([
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=relay", "-addext", f"subjectAltName=IP:{self.address}", "-keyout", self.folder / "relay.key",
                "-out", self.folder / "relay.pem"])
            self.assertEqual(made.returncode, 0, made.stderr)
        configuration = self.write("kamailio.cfg", (HERE / "kamailio-msrp.cfg").read_text().replace("FOLDER", str(self.folder)))
        kamailio = self.start("kamailio", [
            "kamailio", "-DD", "-E", "-f", configuration, "-m", "64", "-Y", self.folder, "-w", self.folder, "-l",
            f"{transport}:{self.address}:{RELAY}", "-A", f"RELAY={self.address}:{RELAY}", "-A", f"SCHEME={scheme}", *more])
        self.wait_until(lambda: f"{self.address}:{RELAY}" in self.complete(["ss", "-ltn"]).stdout, 15,
                        lambda: f"kamailio does not listen: {kamailio.kept_tail()}")

    def send_through(self, link, scheme):
        code, output, errors, found = self.send(link, scheme)
        self.assertEqual((code, output), (0, "delivered\n"), errors)
        part, body = found
        self.assertTrue(body.endswith(b"\r\n\r\n" + self.text.read_bytes()), body[:300])
        # What came was for this end alone and had come by the relay.
        self.assertEqual(len(part.headers["To-Path"].split()), 1)
        source = part.headers["From-Path"].split()
        self.assertEqual(len(source), 2)
        self.assertTrue(source[0].startswith(f"{self.scheme}://{self.address}:{RELAY}/"), source)

    def send(self, link, scheme, account="anna"):
        """What `edge send` said, and what the box behind the relay got, if anything."""
        kind, port = link.split(":")
        uri = f"sips:{self.address}:{port}" if kind == "sips" else f"sip:{self.address}:{port};transport={kind}"
        rendezvous = {
            "uri": uri, "account": account, "domain": DOMAIN, "password-file": str(self.folder / f"{account}.password"),
            "msrp-relay": f"{self.scheme}://{self.address}:{RELAY};tcp"}
        if kind == "sips":
            both = self.server.ca.read_text() + (self.folder / "relay.pem").read_text()
            rendezvous["ca-file"] = str(self.write("authorities.pem", both))
        config = self.write(f"{account}.yaml", yaml({"rendezvous": rendezvous, "viewer": {"state-dir": str(self.folder / "state")}}))
        self.text = self.write("long.txt", "Through the relay. " * 400)
        return asyncio.run(self.exchange(config, scheme))

    async def exchange(self, config, scheme):
        box = SIPClient("gate-box", "secret of gate-box", DOMAIN)
        await box.connect(self.address, 5060)
        accepted = asyncio.Queue()
        context = None
        if scheme == "msrps":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.folder / "relay.pem", self.folder / "relay.key")
        listener = await asyncio.start_server(lambda *pair: accepted.put_nowait(pair), self.address, 0, ssl=context)
        uri = f"{scheme}://{self.address}:{listener.sockets[0].getsockname()[1]}/{secrets.token_hex(10)};tcp"
        box.answer_to_invite = lambda invite: description(uri, None, "recvonly").encode()
        await box.register()
        sender = await asyncio.create_subprocess_exec(
            self.program("edge"), "send", "gate-box", "-", "--config", str(config), stdin=self.text.open("rb"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        said = asyncio.create_task(sender.communicate())
        arrival = asyncio.create_task(accepted.get())
        found = None
        try:
            await asyncio.wait([said, arrival], timeout=20, return_when=asyncio.FIRST_COMPLETED)
            if arrival.done():
                link = Endpoint(uri)
                link.use(*arrival.result())
                found = await asyncio.wait_for(link.messages.get(), 15)
            output, errors = await asyncio.wait_for(said, 15)
        finally:
            arrival.cancel()
            if sender.returncode is None:
                sender.kill()
        return sender.returncode, output.decode(), errors.decode(), found
