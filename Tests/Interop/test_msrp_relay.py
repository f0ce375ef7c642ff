"""Kamailio's MSRP relay (RFC 4976) carries a message of `edge send` to a user agent that only listens."""

import asyncio
import pathlib
import secrets
import shutil

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
        self.assertTrue(shutil.which("kamailio"), "kamailio is missing: Firmware/install-packages installs it")
        self.address = own_address()
        server = Server(self, None, address=self.address).start()
        for name in ("anna", "gate-box"):
            server.account(name)
        server.must("contact", "add", "anna", "gate-box")
        kamailio = self.start("kamailio", [
            "kamailio", "-DD", "-E", "-f", HERE / "kamailio-msrp.cfg", "-m", "64", "-Y", self.folder, "-l",
            f"tcp:{self.address}:{RELAY}", "-A", f"RELAY={self.address}:{RELAY}"])
        listening = f"{self.address}:{RELAY}"
        self.wait_until(lambda: listening in self.complete(["ss", "-ltn"]).stdout, 15,
                        lambda: f"kamailio does not listen: {kamailio.kept_tail()}")
        config = self.folder / "anna.yaml"
        config.write_text(yaml({
            "rendezvous": {
                "uri": f"sip:{self.address}:5060;transport=tcp", "account": "anna", "domain": DOMAIN,
                "password-file": str(self.folder / "anna.password"), "msrp-relay": f"msrp://{self.address}:{RELAY};tcp"},
            "viewer": {"state-dir": str(self.folder / "anna-state")}}))
        text = self.folder / "long.txt"
        text.write_text("Through the relay. " * 400)
        code, output, errors, found, paths = asyncio.run(self.exchange(config, text))
        self.assertEqual((code, output), (0, "delivered\n"), errors)
        self.assertTrue(found.endswith(b"\r\n\r\n" + text.read_bytes()), found[:300])
        # What came was for this end alone and had come by the relay.
        to, source = paths
        self.assertEqual(len(to.split()), 1)
        self.assertEqual(len(source.split()), 2)
        self.assertIn(f":{RELAY}/", source.split()[0])

    async def exchange(self, config, text):
        box = SIPClient("gate-box", "secret of gate-box", DOMAIN)
        await box.connect(self.address, 5060)
        accepted = asyncio.Queue()
        listener = await asyncio.start_server(lambda *pair: accepted.put_nowait(pair), self.address, 0)
        uri = f"msrp://{self.address}:{listener.sockets[0].getsockname()[1]}/{secrets.token_hex(10)};tcp"
        box.answer_to_invite = lambda invite: description(uri, None, "recvonly").encode()
        await box.register()
        sender = await asyncio.create_subprocess_exec(
            self.program("edge"), "send", "gate-box", "-", "--config", str(config), stdin=text.open("rb"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            link = Endpoint(uri)
            link.use(*await asyncio.wait_for(accepted.get(), 15))
            part, body = await asyncio.wait_for(link.messages.get(), 15)
            output, errors = await asyncio.wait_for(sender.communicate(), 15)
        finally:
            if sender.returncode is None:
                sender.kill()
        return sender.returncode, output.decode(), errors.decode(), body, (part.headers["To-Path"], part.headers["From-Path"])
