"""Contacts, presence of accounts, groups and robots; and what the message broker says on the wire, told by tshark."""

import json
import pathlib
import sys

from harness import Case
from harness.capture import Capture
from harness.network import Network
from harness.nodes import DOMAIN, Account, Server, interrupt, yaml

ROBOT = pathlib.Path(__file__).resolve().parents[1] / "Interop" / "robot.py"


class Accounts(Case):
    """One server and accounts on one machine."""

    seconds = 60

    def setUp(self):
        super().setUp()
        self.machine = Network(self).namespace("box")
        self.machine.hosts({DOMAIN: "127.0.0.1"})
        self.server = Server(self, self.machine, address="127.0.0.1").start()
        self.files = {}

    def account(self, name, terminal=1, transport="tls"):
        """The configuration of one terminal of an account."""
        if name not in self.files:
            self.files[name] = self.server.account(name)
        file = self.folder / f"{name}-{terminal}.yaml"
        file.write_text(yaml({
            "rendezvous": Account(self.server, name, self.files[name], transport).section(),
            "viewer": {"state-dir": str(self.folder / f"{name}-{terminal}.state")}}))
        return file

    def edge(self, account, *words, code=0):
        done = self.complete([self.program("edge"), *words, "--config", account], self.machine)
        self.assertEqual(done.returncode, code, f"edge {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def follow(self, account, *words):
        return self.start(f"{account.stem}-{words[0]}", [self.program("edge"), *words, "--follow", "--config", account],
                          self.machine)

    def contacts(self, account):
        listed = json.loads(self.edge(account, "contacts", "list", "--json"))["contacts"]
        return [(each["name"], each["state"], each["online"]) for each in listed]


class Contacts(Accounts):
    def test_asked_accepted_seen_coming_and_going_written_to_and_removed(self):
        anna, ben = self.account("anna"), self.account("ben")
        self.assertIn("no contacts yet", self.edge(anna, "contacts", "list"))
        self.assertIn("there is no account nobody", self.edge(anna, "contacts", "add", "nobody", code=1))
        self.assertIn("not yours to write to", self.edge(anna, "send", "ben", "hello", code=1))
        list_of_ben = self.follow(ben, "contacts", "list")
        list_of_ben.wait_for("no contacts yet", 10)
        self.assertEqual(self.edge(anna, "contacts", "add", "ben"), "asked ben\n")
        list_of_ben.wait_for("^anna asks: edge contacts accept anna", 5)
        self.assertEqual(self.contacts(anna), [("ben", "requested", False)])
        # Terminals that know nothing of contact lists are told as well.
        self.assertIn("anna: anna asks to be your contact.", self.edge(ben, "inbox"))
        self.assertEqual(self.edge(ben, "contacts", "accept", "anna"), "anna is your contact now\n")
        list_of_ben.wait_for("^anna offline", 5)
        inbox = self.follow(anna, "inbox")
        list_of_ben.wait_for("^anna online", 10)
        self.assertEqual(self.contacts(ben), [("anna", "confirmed", True)])
        self.assertEqual(self.edge(ben, "send", "anna", "hello"), "delivered\n")
        inbox.wait_for(" ben: hello$", 5)
        self.assertEqual(interrupt(inbox), 0)
        self.wait_until(lambda: list_of_ben.text().count("anna offline") == 2, 5, list_of_ben.text)
        # The server keeps the list.
        self.server.process.kill()
        self.server.start()
        self.assertEqual(self.contacts(anna)[0][:2], ("ben", "confirmed"))
        self.assertEqual(self.edge(anna, "contacts", "remove", "ben"), "removed ben\n")
        list_of_ben.wait_for("^anna is on the list no longer", 20)
        self.assertIn("not yours to write to", self.edge(ben, "send", "anna", "hello", code=1))
        self.assertEqual(self.edge(anna, "contacts", "add", "ben"), "asked ben\n")
        self.assertEqual(self.edge(ben, "contacts", "refuse", "anna"), "refused anna\n")
        self.assertIn("does not ask", self.edge(ben, "contacts", "accept", "anna", code=1))
        self.assertEqual(self.contacts(anna) + self.contacts(ben), [])
        self.assertEqual(interrupt(list_of_ben), 0)

    def test_a_group_and_a_robot_in_it(self):
        anna, ben = self.account("anna"), self.account("ben")
        password = self.server.account("robot")
        for name in ("anna", "ben", "robot"):
            self.server.must("group", "add", "family", name)
        self.assertEqual(self.server.must("group", "list").split(), "family anna family ben family robot".split())
        robot = self.start("robot", [sys.executable, ROBOT, "--server", "127.0.0.1:5060", "--user", "robot",
                                     "--password-file", password], self.machine)
        robot.wait_for("^listening", 10)
        inbox = self.follow(anna, "inbox")
        self.wait_until(lambda: self.server.status()["subscriptions"] == 2, 10, "anna is not there")
        # ben is away and sends; anna and the robot are there.
        self.assertEqual(self.edge(ben, "send", "family", "dinner"), "delivered\n")
        inbox.wait_for(" ben to family: dinner$", 5)
        inbox.wait_for(" robot to family: you said: dinner$", 5)
        told = [json.loads(line) for line in self.edge(ben, "inbox", "--json").splitlines()]
        self.assertEqual([(each["from"], each["to"], each["text"]) for each in told],
                         [("robot", "family", "you said: dinner")])
        # One member is away, so it is stored for him.
        self.assertEqual(self.edge(anna, "send", "family", "late"), "stored\n")
        self.server.must("group", "remove", "family", "ben")
        self.assertIn("not yours to write to", self.edge(ben, "send", "family", "hello", code=1))


class Broker(Accounts):
    """The broker of FLOWS 1.3 to 1.6, message by message."""

    def test_two_terminals_of_one_account_get_one_notify_each(self):
        first, second = (self.account("anna", number, "tcp") for number in (1, 2))
        gate = self.account("gate", 1, "tcp")
        self.server.must("contact", "add", "anna", "gate")
        capture = Capture(self, self.machine)
        terminals = []
        for account in (first, second):
            terminals.append(self.follow(account, "inbox"))
            self.wait_until(lambda: self.server.status()["subscriptions"] == len(terminals), 10, "no subscription")
        self.assertEqual(self.edge(gate, "send", "anna", "somebody rang"), "delivered\n")
        for terminal in terminals:
            terminal.wait_for(" gate: somebody rang$", 5)
        # From the sender, and to each of the two.
        capture.stop((b"somebody rang", 3))
        self.assertEqual([interrupt(terminal) for terminal in terminals], [0, 0])
        packets = capture.sip()

        def spoken(stream):
            """Who said what on a connection: `>` to the server, `<` from it."""
            return [f"{'<' if each.source == '5060' else '>'} {each.method or each.status + ' ' + each.of}"
                    for each in packets if each.stream == stream]

        streams = list(dict.fromkeys(each.stream for each in packets))
        # A terminal is registered too, so that large messages find it.
        log_in = ["> REGISTER", "< 401 REGISTER", "> REGISTER", "< 200 REGISTER",
                  "> SUBSCRIBE", "< 200 SUBSCRIBE", "< NOTIFY", "> 200 NOTIFY"]
        for stream in streams[:2]:
            self.assertEqual(spoken(stream)[:10], [*log_in, "< NOTIFY", "> 200 NOTIFY"])
            said = [each for each in packets if each.stream == stream]
            # 1.4 and 1.5: the package in Event, the topic in the body.
            self.assertTrue(all(each.event == "im" for each in said if each.method in ("SUBSCRIBE", "NOTIFY")))
            subscribed = next(each for each in said if each.method == "SUBSCRIBE")
            self.assertEqual((subscribed.type, subscribed.body), ("text/plain", ["anna"]))
            # At once, with nothing to say; then the message, over the connection that was open.
            empty, message = [each for each in said if each.method == "NOTIFY"][:2]
            self.assertEqual((empty.body, message.type), ([], "message/cpim"))
            self.assertTrue(message.state.startswith("active"))
            self.assertEqual(message.body[0], f"From: <sip:gate@{DOMAIN}>")
            self.assertEqual(message.body[-1], "somebody rang")
            # One each, whatever else they were told.
            self.assertEqual(sum("somebody rang" in each.body for each in said if each.method == "NOTIFY"), 1)
        self.assertEqual(spoken(streams[2]), ["> MESSAGE", "< 407 MESSAGE", "> MESSAGE", "< 200 MESSAGE"])
        # 1.3: pushed before the sender is answered, who named the receiver's topic.
        order = [int(each.number) for each in packets if "somebody rang" in each.body and each.method == "NOTIFY"]
        answered = next(int(each.number) for each in packets if each.status == "200" and each.of == "MESSAGE")
        self.assertLess(min(order), answered)
        sent = next(each for each in packets if each.method == "MESSAGE")
        self.assertEqual((sent.uri, sent.sender), (f"sip:anna@{DOMAIN}", "gate"))
