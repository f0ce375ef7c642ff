"""Large messages (MSRP) while the sender, the terminal or a server is killed in the middle of one."""

import json
import os
import pathlib
import random
import secrets
import sys
import time

from harness import Case
from harness.nodes import Server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Interop"))
from test_offline import own_address, start_split  # noqa: E402


class LargeCrashes(Case):
    """Every message is some MiB, so that a kill at a random moment of it is one inside it."""

    seconds = 180
    needs_root = False
    ROUNDS = 18
    SIZE = 5 << 20
    VICTIMS = ("server", "terminal", "sender")

    def setUp(self):
        super().setUp()
        self.address = own_address()
        self.start_servers()
        for name in ("anna", "carl"):
            self.server.account(name)
        self.server.must("contact", "add", "anna", "carl")

    def start_servers(self):
        self.server = Server(self, None, address=self.address, listen={"msrps": f"{self.address}:2855"}).start()
        self.link = {"uri": f"sips:{self.address}:5061", "ca-file": str(self.server.ca)}

    def crash(self, victim):
        """A server dies and is started again, as its service manager would."""
        self.server.process.kill()
        self.server.start()

    def options(self, name):
        config = self.folder / f"{name}.yaml"
        config.write_text(json.dumps({
            "rendezvous": {**self.link, "account": name, "domain": "rv.example.org",
                           "password-file": str(self.folder / f"{name}.password")},
            "viewer": {"state-dir": str(self.folder / name)}}))
        return ["--config", str(config)]

    def start_terminal(self):
        return self.start("inbox", [self.program("edge"), "inbox", "--follow", *self.options("carl")])

    def start_sender(self, number):
        file = self.folder / f"{number}.txt"
        # A text, so that nothing of it is guessed from its first bytes.
        file.write_text(f"message {number}\n" + self.random.randbytes(self.SIZE // 2).hex())
        with file.open("rb") as content:
            return self.start(f"send-{number}", [self.program("edge"), "send", "carl", "-", *self.options("anna")],
                              stdin=content)

    def kept(self):
        """The numbers of the messages the terminal has, in the order it took them; their contents are right."""
        journal = self.folder / "carl" / "messages.jsonl"
        numbers = []
        for line in journal.read_text().splitlines() if journal.exists() else []:
            try:
                content = pathlib.Path(json.loads(line)["file"]).read_text()
            except ValueError:
                # Cut short by a kill: never answered.
                continue
            number = int(content.split("\n", 1)[0].split()[1])
            self.assertEqual(content, (self.folder / f"{number}.txt").read_text(), f"message {number} is damaged")
            numbers.append(number)
        return numbers

    def test_none_is_lost_doubled_or_damaged_though_each_part_is_killed_inside_one(self):
        seed = int(os.environ.get("EDGE_SEED", secrets.randbits(32)))
        self.note(f"seed {seed}")
        self.random = random.Random(seed)
        terminal = self.start_terminal()
        self.wait_until(lambda: (self.server.status() or {}).get("subscriptions") == 1, 20, terminal.text)
        began = time.monotonic()
        first = self.start_sender(0)
        self.assertEqual(first.wait(30), 0, first.text())
        length = time.monotonic() - began
        taken, cut = {0}, {victim: 0 for victim in self.VICTIMS}
        for number in range(1, self.ROUNDS + 1):
            victim = self.VICTIMS[number % len(self.VICTIMS)]
            # Every other time nobody is there, and the service stores it: then it is killed while it is given.
            isStored = number // len(self.VICTIMS) % 2 == 1
            if isStored:
                terminal.kill()
            sender = self.start_sender(number)
            if isStored and victim == "terminal":
                self.assertEqual(sender.wait(60), 0, sender.text())
                terminal = self.start_terminal()
            time.sleep(self.random.uniform(0.1, 1) * length)
            if victim == "terminal":
                cut[victim] += number not in self.kept()
                terminal.kill()
            elif victim == "sender":
                cut[victim] += sender.running()
                sender.kill()
            else:
                cut[victim] += sender.running()
                self.crash(victim)
            if not terminal.running():
                terminal = self.start_terminal()
            if victim != "sender":
                # Its program sends again what was not answered, and says when it is safe.
                self.assertEqual(sender.wait(60), 0, sender.text())
            if {"delivered", "stored"} & set(sender.text().splitlines()):
                taken.add(number)
            if not terminal.running():
                terminal = self.start_terminal()
        self.wait_until(lambda: taken <= set(self.kept()), 60,
                        lambda: f"{sorted(taken - set(self.kept()))} lost: {terminal.kept_tail()}")
        # What would come twice would come now.
        time.sleep(2)
        got = self.kept()
        self.assertEqual(len(got), len(set(got)), f"given twice: {got}")
        self.assertEqual([number for number in got if number in taken], sorted(taken))
        self.assertGreaterEqual(sum(cut.values()), 4, f"too few kills were inside a message: {cut}")
        self.note(f"{len(taken)} of {self.ROUNDS + 1} messages of {self.SIZE >> 20} MiB taken, all of them kept once and in order; "
                  f"inside one were killed: {', '.join(f'{victim} {count}' for victim, count in cut.items())} times")


class SplitCrashes(LargeCrashes):
    """The same with the two roles of the service in processes of their own: one that speaks SIP, two that keep messages."""

    VICTIMS = ("server", "terminal", "media", "sender", "media")
    ROUNDS = 20

    def start_servers(self):
        self.server, self.media = start_split(self, (1, 2))
        self.link = {"uri": f"sip:{self.address}:5060;transport=tcp"}

    def crash(self, victim):
        if victim == "server":
            return super().crash(victim)
        media = self.random.choice(self.media)
        media.process.kill()
        media.start()
