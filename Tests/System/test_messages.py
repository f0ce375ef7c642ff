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

from harness import Case
from harness.nodes import Account, Server, interrupt, terminal
from harness.scenes import one_machine

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Interop"))
from sip_client import SIPClient  # noqa: E402


class Messages(Case):
    seconds = 90

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
        first, second = (terminal(self, machine, server, anna, number) for number in (1, 2))
        box = terminal(self, machine, server, node.account, 1)
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
        first = terminal(self, machine, server, anna, 1)
        server.account("carl")
        for receiver, text, code in (("carl", "hello", 1), ("nobody", "hello", 1), ("gate-box", "x" * 1400, 1)):
            done = self.send(first, receiver, text)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn("too long", done.stderr)


class LargeMessages(Case):
    """What does not fit into one SIP message goes over MSRP, to who is there and who is not."""

    seconds = 60
    needs_root = False

    def setUp(self):
        super().setUp()
        pid = os.getpid()
        self.address = f"127.{pid >> 14 & 127 or 1}.{pid >> 7 & 127}.{pid & 127 or 1}"
        self.server = Server(self, None, address=self.address, listen={"msrps": f"{self.address}:2855"}).start()
        for name in ("anna", "carl"):
            self.server.account(name)
        self.server.must("contact", "add", "anna", "carl")

    def terminal(self, name, number=1):
        """Options and environment of a device of an account."""
        config = self.folder / f"{name}-{number}.yaml"
        config.write_text(json.dumps({
            "rendezvous": {"uri": f"sips:{self.address}:5061", "account": name, "domain": "rv.example.org",
                           "ca-file": str(self.server.ca), "password-file": str(self.folder / f"{name}.password")},
            "viewer": {"state-dir": str(self.folder / f"{name}-{number}")}}))
        return ["--config", str(config)]

    def send(self, file):
        done = self.complete([self.program("edge"), "send", "carl", "-", *self.terminal("anna")],
                             stdin=file.read_bytes(), text=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def inbox(self, number):
        done = self.complete([self.program("edge"), "inbox", "--json", *self.terminal("carl", number)])
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_a_picture_waits_for_each_terminal_and_reaches_one_that_is_there(self):
        picture = self.folder / "picture.png"
        picture.write_bytes(b"\x89PNG\r\n" + random.Random(1).randbytes(700_000))
        text = self.folder / "long.txt"
        text.write_text("a long story, " * 1000)
        # Terminals the server has seen: a new one would begin with what none has had.
        self.assertEqual([self.inbox(1), self.inbox(2)], [[], []])
        # Nobody is there: both wait, in order, also over a crash.
        self.assertEqual([self.send(picture), self.send(text)], ["stored\n", "stored\n"])
        self.server.process.kill()
        self.server.start()
        for number in (1, 2):
            first, second = self.inbox(number)
            self.assertEqual((first["from"], first["type"], second["text"]), ("anna", "image/png", text.read_text()))
            self.assertEqual(pathlib.Path(first["file"]).read_bytes(), picture.read_bytes())
            self.assertEqual(self.inbox(number), [])
        # A terminal is there.
        process = self.start("inbox", [self.program("edge"), "inbox", "--follow", *self.terminal("carl", 1)])
        self.wait_until(lambda: (self.server.status() or {}).get("subscriptions") == 1, 10, "it is not subscribed")
        self.assertEqual(self.send(text), "delivered\n")
        process.wait_for("anna: a long story", 10)


class Crashes(Case):
    """Senders, terminals and the server are killed at random moments while messages are under way."""

    seconds = 300
    needs_root = False
    # 5,000 in `make test`; Tests/Benchmarks/test_broker.py has 200,000.
    SENDERS = 4
    RECEIVERS = 5
    EACH = 250
    KILLS = 9
    PAUSE = 0.004

    def test_no_message_is_lost_after_its_2xx_or_given_twice_though_everybody_is_killed(self):
        seed = int(os.environ.get("EDGE_SEED", secrets.randbits(32)))
        self.note(f"seed {seed}")
        self.random = random.Random(seed)
        # All of 127.0.0.0/8 is this machine: an address of this test's own.
        pid = os.getpid()
        self.address = f"127.{pid >> 14 & 127 or 1}.{pid >> 7 & 127}.{pid & 127 or 1}"
        self.server = Server(self, None, address=self.address).start()
        senders = [f"box-{number}" for number in range(self.SENDERS)]
        self.receivers = [f"user-{number}" for number in range(self.RECEIVERS)]
        for name in senders:
            self.server.account(name, node=True)
        for name in self.receivers:
            self.server.account(name)
            self.server.grant(name, *[f"CAM-{sender}" for sender in senders])
        asyncio.run(self.own_all(senders))
        # The first receiver has two terminals.
        terminals = {(name, number): self.start_terminal(name, number)
                     for name in self.receivers for number in range(2 if name == self.receivers[0] else 1)}
        # A terminal that is new gets what none has had: all are known before the first message.
        self.wait_until(lambda: (self.server.status() or {}).get("subscriptions") == len(terminals), 20,
                        "the terminals are not subscribed")
        started = time.monotonic()
        processes = {name: self.start_sender(name) for name in senders}
        kills = self.kill_all(processes, terminals)
        took = time.monotonic() - started
        total = self.SENDERS * self.RECEIVERS * self.EACH
        for (name, number), process in terminals.items():
            want = self.SENDERS * self.EACH
            self.wait_until(lambda: len(self.kept(name, number)) >= want, 60,
                            lambda: f"{name} has {len(self.kept(name, number))} of {want}: {process.kept_tail()}")
            got = self.kept(name, number)
            self.assertEqual(len(got), len(set(got)), f"{name}-{number} was given a message twice")
            for sender in senders:
                self.assertEqual([text for text in got if text.startswith(sender + " ")],
                                 [f"{sender} {n}" for n in range(self.EACH)], f"{name}-{number}")
        delivered = sum(self.SENDERS * self.EACH for _ in terminals)
        self.note(f"{total} messages taken in {took:.1f} s, {delivered} given to {len(terminals)} terminals, none lost or "
                  f"given twice, order kept; killed: server {kills['server']}, terminals {kills['terminal']}, "
                  f"senders {kills['sender']} times")

    def kill_all(self, processes, terminals):
        """Until all is sent, at random moments of each part of the way; returns how often whom."""
        total = self.SENDERS * self.RECEIVERS * self.EACH
        # Each takes its turn, in an order of chance.
        victims = [("server", "terminal", "sender")[number % 3] for number in range(self.KILLS)]
        self.random.shuffle(victims)
        moments = [total * (number + self.random.random()) * 0.9 / self.KILLS for number in range(self.KILLS)]
        kills = {"server": 0, "terminal": 0, "sender": 0}
        deadline = time.monotonic() + self.seconds - 70
        while True:
            taken = self.taken(processes)
            self.assertLess(time.monotonic(), deadline, f"only {taken} of {total} messages were taken")
            if moments and taken >= moments[0]:
                moments.pop(0)
                victim = victims.pop()
                kills[victim] += 1
                if victim == "server":
                    self.server.process.kill()
                    self.server.start()
                elif victim == "terminal":
                    which = self.random.choice(sorted(terminals))
                    terminals[which].kill()
                    terminals[which] = self.start_terminal(*which)
                else:
                    which = self.random.choice(sorted(processes))
                    processes[which].kill()
                    processes[which] = self.start_sender(which)
            for name, process in processes.items():
                if not process.running() and process.popen.returncode != 0:
                    self.fail(f"{name}: {process.state()}: {process.kept_tail()}")
            if taken >= total and not any(process.running() for process in processes.values()):
                return kills
            time.sleep(0.02)

    def taken(self, processes):
        return sum(len([line for line in path.read_text().splitlines() if line]) for path in map(self.journal, processes)
                   if path.exists())

    def journal(self, name):
        return self.folder / f"{name}.journal"

    def start_sender(self, name):
        return self.start(name, [
            sys.executable, pathlib.Path(__file__).resolve().parent / "message_sender.py", f"{self.address}:5060", name,
            self.journal(name), self.EACH, self.PAUSE, *self.receivers])

    def start_terminal(self, name, number):
        home = self.folder / f"{name}-{number}"
        home.mkdir(exist_ok=True)
        # The domain is not the address here, so it is configured.
        config = self.folder / f"{name}.yaml"
        config.write_text(json.dumps({"rendezvous": {
            "uri": f"sip:{self.address}:5060;transport=tcp", "account": name, "domain": "rv.example.org",
            "password-file": str(self.folder / f"{name}.password")}}))
        return self.start(
            f"{name}-{number}", [self.program("edge"), "inbox", "--follow", "--config", config],
            environment={"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PATH": "/usr/bin:/bin"})

    def kept(self, name, number):
        path = self.folder / f"{name}-{number}" / "state" / "edge" / "messages.jsonl"
        found = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                found.append(json.loads(line)["text"])
            except ValueError:
                pass
        return found

    async def own_all(self, names):
        for name in names:
            await self.own(name, f"CAM-{name}")

    async def client(self, name):
        client = SIPClient(name, f"secret of {name}", "rv.example.org")
        await client.connect(self.address, 5060)
        return client

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
