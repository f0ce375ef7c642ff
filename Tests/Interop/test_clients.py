"""baresip and linphone, SIP clients nobody here wrote, write to edge accounts and get answers: through edge-rendezvous,
and through Kamailio, at which edge is a plain SIP client like any other."""

import json

from harness import Case
from harness.nodes import DOMAIN, Server, interrupt, yaml
from harness.network import Network
from sip_peers import Baresip, Kamailio, Linphone, lines

OTHER = "kam.example.org"


class Clients(Case):
    seconds = 90

    def machine(self):
        network = Network(self)
        machine = network.namespace("box")
        machine.hosts({DOMAIN: "127.0.0.1", OTHER: "127.0.0.2"})
        # baresip wants an address that is not the loopback interface's.
        network.pair(machine, "lan", network.namespace("neighbour"), "lan")
        machine.address("lan", "192.168.77.1/24")
        machine.default_route("192.168.77.254")
        return machine

    def account(self, name, server, domain, **more):
        """The configuration of an edge account."""
        password = self.folder / f"{name}.password"
        password.write_text(f"secret-{name}")
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml({
            "rendezvous": {"uri": f"sip:{server}:5060;transport=tcp", "domain": domain, "account": name,
                           "password-file": str(password), **more},
            "viewer": {"state-dir": str(self.folder / f"{name}.state")}}))
        return file

    def edge(self, machine, account, *words):
        return self.complete([self.program("edge"), *words, "--config", account], machine)

    def sends(self, machine, account, receiver, text, outcome="delivered"):
        done = self.edge(machine, account, "send", receiver, text)
        self.assertEqual((done.returncode, done.stdout), (0, outcome + "\n"), done.stderr)

    def follow(self, machine, account, name):
        return self.start(f"inbox-{name}", [self.program("edge"), "inbox", "--follow", "--json", "--config", account],
                          machine)

    def got(self, inbox, sender, text):
        self.wait_until(lambda: any(each["from"].startswith(sender) and each["text"] == text for each in lines(inbox)),
                        10, lambda: f"no '{text}' of {sender}: {inbox.text()}")

    def test_they_exchange_messages_with_an_edge_account_and_each_other_through_the_rendezvous_server(self):
        machine = self.machine()
        server = Server(self, machine, address="127.0.0.1").start()
        server.account("anna", password="secret-anna")
        for name in ("lin", "bare"):
            server.account(name, password=f"secret-{name}", md5=True)
        for pair in (("anna", "lin"), ("anna", "bare"), ("lin", "bare")):
            server.must("contact", "add", *pair)
        anna = self.account("anna", "127.0.0.1", DOMAIN)
        inbox = self.follow(machine, anna, "anna")
        lin = Linphone(self, machine, "lin", DOMAIN, "127.0.0.1:5060").start()
        bare = Baresip(self, machine, "bare", DOMAIN, "127.0.0.1:5060", "udp", ["anna", "lin"]).start()
        self.sends(machine, anna, "lin", "from edge to linphone")
        lin.got("from edge to linphone")
        self.sends(machine, anna, "bare", "from edge to baresip")
        bare.got("from edge to baresip")
        lin.send("anna", "from linphone to edge")
        self.got(inbox, "lin", "from linphone to edge")
        bare.send("anna", "from baresip to edge")
        self.got(inbox, "bare", "from baresip to edge")
        lin.send("bare", "from linphone to baresip")
        bare.got("from linphone to baresip")
        # linphone compresses its receipts (Content-Encoding: deflate), and they are no messages.
        self.assertEqual(len(lines(inbox)), 2, inbox.text())
        listed = json.loads(self.edge(machine, anna, "contacts", "list", "--json").stdout)["contacts"]
        self.assertEqual({(each["name"], each["online"]) for each in listed}, {("lin", True), ("bare", True)})
        # Who is away gets it at the next log-in.
        bare.control("quit")
        bare.process.wait(10)
        self.wait_until(lambda: self.edge(machine, anna, "send", "bare", "while away").stdout == "stored\n", 10,
                        "baresip is still there")
        again = Baresip(self, machine, "bare2", DOMAIN, "127.0.0.1:5060", "tcp", ["anna"], port=14445)
        again.folder.joinpath("accounts").write_text(again.folder.joinpath("accounts").read_text().replace("bare2", "bare"))
        again.start().got("while away")

    def test_they_exchange_messages_with_edge_accounts_through_kamailio(self):
        machine = self.machine()
        Kamailio(self, machine, OTHER).start()
        anna = self.account("anna", "127.0.0.2", OTHER, md5=True)
        ben = self.account("ben", "127.0.0.2", OTHER, md5=True)
        inbox = self.follow(machine, anna, "anna")
        # Kamailio says 489 to Event: im.
        inbox.wait_for("logged in as a plain SIP client", 10)
        lin = Linphone(self, machine, "lin", OTHER, "127.0.0.2:5060").start()
        bare = Baresip(self, machine, "bare", OTHER, "127.0.0.2:5060", "udp", ["anna"]).start()
        self.sends(machine, ben, "anna", "from edge to edge")
        self.got(inbox, "ben", "from edge to edge")
        self.sends(machine, anna, "lin", "from edge to linphone")
        lin.got("from edge to linphone")
        # baresip takes text/plain only.
        self.sends(machine, anna, "bare", "from edge to baresip")
        bare.got("from edge to baresip")
        lin.send("anna", "from linphone to edge")
        self.got(inbox, "lin", "from linphone to edge")
        bare.send("anna", "from baresip to edge")
        self.got(inbox, "bare", "from baresip to edge")
        self.assertEqual(interrupt(inbox), 0)
        done = self.edge(machine, ben, "send", "anna", "too late")
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        # Not following, it ends when nothing more comes.
        done = self.edge(machine, anna, "inbox", "--json")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_md5_is_answered_to_who_asks_for_it_in_the_configuration_and_to_nobody_else(self):
        machine = self.machine()
        Kamailio(self, machine, OTHER).start()
        done = self.edge(machine, self.account("anna", "127.0.0.2", OTHER), "send", "ben", "hello")
        self.assertEqual((done.returncode, done.stdout), (77, ""), done.stderr)
