"""Messages between accounts: to every terminal once, kept for those that are away, lost by no crash."""

import asyncio
import json
import os
import pathlib
import random
import re
import secrets
import sys
import time

from harness import Case, Viewer
from harness.nodes import Account, Server, interrupt
from harness.scenes import one_machine

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Interop"))
from sip_client import SIPClient  # noqa: E402


class Messages(Case):
    seconds = 90

    def terminal(self, machine, server, account, number):
        """A device of an account, with a state directory of its own."""
        terminal = Viewer.__new__(Viewer)
        terminal.case, terminal.namespace, terminal.server, terminal.name = self, machine, server, account.name
        terminal.account, terminal.count = account, 0
        terminal.home = self.folder / f"{account.name}-{number}"
        terminal.home.mkdir(exist_ok=True)
        return terminal

    def scene(self):
        machine, server, node = one_machine(self)
        node.ready()
        anna = Account(server, "anna", server.account("anna"))
        server.grant("anna", "CAM-1")
        return machine, server, node, anna

    def send(self, terminal, receiver, text):
        return self.complete([self.program("edge"), "send", receiver, text, *terminal.options()], terminal.namespace,
                             env=terminal.environment())

    def inbox(self, terminal, *more):
        done = self.complete([self.program("edge"), "inbox", "--json", *more, *terminal.options()], terminal.namespace,
                             env=terminal.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def follow(self, terminal):
        process = self.start(
            f"inbox-{terminal.home.name}", [self.program("edge"), "inbox", "--follow", *terminal.options()],
            terminal.namespace, environment=terminal.environment())
        return process

    def test_every_terminal_gets_a_message_once_and_one_that_was_away_gets_it_later(self):
        machine, server, node, anna = self.scene()
        first, second = (self.terminal(machine, server, anna, number) for number in (1, 2))
        box = self.terminal(machine, server, node.account, 1)
        following = [self.follow(each) for each in (first, second)]
        self.wait_until(lambda: server.status().get("subscriptions", 0) >= 3, 10, "the terminals are not subscribed")
        done = self.send(box, "anna", "somebody rang")
        self.assertEqual((done.returncode, done.stdout), (0, "delivered\n"), done.stderr)
        for process in following:
            process.wait_for(r"gate-box: somebody rang$", 10)
        self.assertEqual(interrupt(following[1]), 0)
        for number in range(5):
            self.assertEqual(self.send(box, "anna", f"word {number}").stdout, "delivered\n")
        following[0].wait_for("word 4", 10)
        self.assertEqual(interrupt(following[0]), 0)
        self.assertEqual(re.findall(r"gate-box: (.*)$", following[0].text(), re.M),
                         ["somebody rang", *[f"word {number}" for number in range(5)]])
        # The second was away; nobody is there now.
        self.assertEqual(self.send(box, "anna", "late").stdout, "stored\n")
        self.assertEqual([each["text"] for each in self.inbox(second)], [*[f"word {n}" for n in range(5)], "late"])
        self.assertEqual([each["text"] for each in self.inbox(first)], ["late"])
        self.assertEqual(self.inbox(first), [])
        self.assertEqual(len(self.inbox(first, "--all")), 7)
        # A node is a terminal too, and anna may write to it because she may watch its camera.
        self.assertEqual(self.send(first, "gate-box", "open the gate").stdout, "delivered\n")
        node.process.wait_for("event=message.received from=anna", 10)
        self.assertIn("open the gate", (node.folder / "state" / "messages.jsonl").read_text())

    def test_who_may_not_is_refused_and_what_is_too_long_is_said(self):
        machine, server, node, anna = self.scene()
        terminal = self.terminal(machine, server, anna, 1)
        server.account("carl")
        for receiver, text, code in (("carl", "hello", 1), ("nobody", "hello", 1), ("gate-box", "x" * 1400, 1)):
            done = self.send(terminal, receiver, text)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn("too long", done.stderr)


class Crashes(Case):
    seconds = 120
    needs_root = False
    MESSAGES = 300

    def test_no_message_is_lost_after_its_2xx_or_given_twice_though_server_and_terminals_are_killed(self):
        seed = int(os.environ.get("EDGE_SEED", secrets.randbits(32)))
        self.note(f"seed {seed}")
        self.random = random.Random(seed)
        # All of 127.0.0.0/8 is this machine: an address of this test's own.
        pid = os.getpid()
        self.address = f"127.{pid >> 14 & 127 or 1}.{pid >> 7 & 127}.{pid & 127 or 1}"
        self.server = Server(self, None, address=self.address).start()
        for name in ("box", "eve"):
            self.server.account(name, node=True)
        self.server.account("anna")
        self.server.grant("anna", "CAM-1", "CAM-2")
        asyncio.run(self.run_all())

    async def client(self, name):
        client = SIPClient(name, f"secret of {name}", "rv.example.org")
        await client.connect(self.address, 5060)
        return client

    async def sender(self, name, accepted):
        """Sends numbered messages one after the other; what got no answer is sent again under the same name."""
        client = None
        for number in range(self.MESSAGES // 2):
            text = f"{name} {number}"
            body = (f"From: <sip:{name}@rv.example.org>\r\nTo: <sip:anna@rv.example.org>\r\n"
                    f"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {name}-{number}\r\n\r\n"
                    f"Content-Type: text/plain\r\n\r\n{text}").encode()
            while True:
                try:
                    if client is None:
                        client = await asyncio.wait_for(self.client(name), 2)
                    request = client.outside("MESSAGE", "sip:anna@rv.example.org", [("Content-Type", "message/cpim")], body)
                    response, _ = await client.exchange(request, seconds=3)
                    if response.status in (200, 202):
                        accepted.append(text)
                        # Slow enough that the kills come in the middle, however fast the machine is.
                        await asyncio.sleep(self.random.uniform(0.02, 0.08))
                        break
                    self.assertEqual(response.status, 503, response.start)
                except (OSError, asyncio.TimeoutError):
                    pass
                if client is not None and (client.reader.at_eof() or client.writer.is_closing()):
                    await client.close()
                    client = None
                await asyncio.sleep(0.05)
        await client.close()

    def start_terminal(self, number):
        home = self.folder / f"anna-{number}"
        home.mkdir(exist_ok=True)
        return self.start(
            f"anna-{number}", [self.program("edge"), "inbox", "--follow", "--config", self.config()],
            environment={"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PATH": "/usr/bin:/bin"})

    def config(self):
        """The domain is not the address here, so it is configured."""
        path = self.folder / "anna.yaml"
        path.write_text(json.dumps({"rendezvous": {
            "uri": f"sip:{self.address}:5060;transport=tcp", "account": "anna", "domain": "rv.example.org",
            "password-file": str(self.folder / "anna.password")}}))
        return path

    def kept(self, number):
        path = self.folder / f"anna-{number}" / "state" / "edge" / "messages.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = []
        for line in lines:
            try:
                found.append(json.loads(line)["text"])
            except ValueError:
                pass
        return found

    async def run_all(self):
        # The serials make the two accounts neighbours of anna's.
        for name, serial in (("box", "CAM-1"), ("eve", "CAM-2")):
            await self.own(name, serial)
        accepted = []
        terminals = {number: self.start_terminal(number) for number in (1, 2)}
        # A terminal that is new gets what none has had: both are known before the first message.
        await asyncio.to_thread(self.wait_until, lambda: (self.server.status() or {}).get("subscriptions") == 2, 10,
                                "the terminals are not subscribed")
        senders = [asyncio.create_task(self.sender(name, accepted)) for name in ("box", "eve")]
        kills = {"server": 0, "terminal": 0}
        deadline = time.monotonic() + 80
        while not all(each.done() for each in senders):
            self.assertLess(time.monotonic(), deadline, f"only {len(accepted)} messages were accepted")
            await asyncio.sleep(self.random.uniform(0.5, 2.5))
            if kills["server"] < 2 or self.random.random() < 0.6:
                self.server.process.kill()
                kills["server"] += 1
                await asyncio.to_thread(self.server.start)
            else:
                number = self.random.choice((1, 2))
                terminals[number].kill()
                kills["terminal"] += 1
                terminals[number] = self.start_terminal(number)
        for each in senders:
            await each
        self.assertGreaterEqual(kills["server"], 2, kills)
        wanted = {"box": [f"box {n}" for n in range(self.MESSAGES // 2)],
                  "eve": [f"eve {n}" for n in range(self.MESSAGES // 2)]}
        self.assertEqual(sorted(accepted), sorted(wanted["box"] + wanted["eve"]))
        for number in (1, 2):
            await asyncio.to_thread(
                self.wait_until, lambda: len(self.kept(number)) >= self.MESSAGES, 20,
                lambda: f"terminal {number} has {len(self.kept(number))} of {self.MESSAGES}: {terminals[number].kept_tail()}")
            got = self.kept(number)
            self.assertEqual(len(got), len(set(got)), "a message was given twice")
            for name in wanted:
                self.assertEqual([text for text in got if text.startswith(name)], wanted[name], f"terminal {number}")
        self.note(f"{len(accepted)} messages, server killed {kills['server']} times, terminals {kills['terminal']} times")

    async def own(self, name, serial):
        """Publishes a serial, which makes its account a neighbour of those who may watch it."""
        client = await self.client(name)
        await client.register()
        body = ('<?xml version="1.0" encoding="UTF-8"?>\r\n<presence xmlns="urn:ietf:params:xml:ns:pidf" '
                f'xmlns:e="urn:edge:resource:1" entity="sip:{name}@rv.example.org"><tuple id="t1"><status><basic>open'
                f"</basic></status><e:serial>{serial}</e:serial><e:type>testcard</e:type>"
                "</tuple></presence>").encode()
        response, _ = await client.exchange(client.outside("PUBLISH", f"sip:{name}@rv.example.org", [
            ("Event", "presence"), ("Expires", "600"), ("Content-Type", "application/pidf+xml")], body))
        self.assertEqual(response.status, 200, response.start)
        await client.close()
