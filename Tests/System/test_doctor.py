"""Why does it not connect: the kind of NAT, and what `edge doctor` makes of a broken set-up."""

import json

from harness import Case
from harness import nat
from harness.network import Network
from harness.nodes import DOMAIN, Node, Server

WORDS = {"EIM": "endpoint-independent", "ADM": "address-dependent", "APDM": "address-and-port-dependent",
         "EIF": "endpoint-independent", "ADF": "address-dependent", "APDF": "address-and-port-dependent"}


class Home:
    """A node behind a router of its own; the server has `addresses` of them."""

    def __init__(self, case, rules="masq", addresses=2):
        self.network = Network(case)
        self.server_machine = self.network.host("s", *[10, 11][:addresses])
        self.machine, self.router = self.network.home("a", 1, 101, rules)
        for machine in (self.machine, self.server_machine):
            machine.hosts({DOMAIN: "203.0.113.10"})
        more = ["203.0.113.11"] if addresses == 2 else []
        self.server = Server(case, self.server_machine, more_addresses=more).start()
        self.node = Node(case, self.machine, self.server)

    def rules(self, name):
        self.router.rules(nat.rules(name, "203.0.113.101"))
        self.router.flush_connections()


class KindOfNAT(Case):
    seconds = 100

    def test_status_tells_each_kind_of_router(self):
        home = Home(self)
        for rules, kind in (("masq", "EIM APDF"), ("masq_random", "APDM APDF"), ("jhash_adm", "ADM APDF"),
                            ("fullcone", "EIM EIF"), ("restricted", "EIM ADF")):
            home.rules(rules)
            home.node.ready()
            told = self.wait_until(
                lambda: (nat := (home.node.status() or {}).get("nat", {})).get("mapping") != "unknown" and nat, 10,
                lambda: f"{rules}: {home.node.status()['nat']}")
            self.assertEqual([told["mapping"], told["filtering"]], [WORDS[word] for word in kind.split()], rules)
            self.assertTrue(told["public_address"].startswith("203.0.113.101:"), told)
            home.node.process.stop()
            self.note(f"{rules}: {told}")
