"""Set-ups several tests start from."""

from .network import Network
from .nodes import DOMAIN, Node, Server, Viewer


def one_machine(case, listen=None, **node):
    """Server, node and viewer on one machine, over its loopback interface."""
    network = Network(case)
    machine = network.namespace("box")
    machine.hosts({DOMAIN: "127.0.0.1"})
    # An address a path can be found on: loopback ones are not offered to a peer (RFC 8445 §5.1.1.1).
    network.pair(machine, "lan", network.namespace("neighbour"), "lan")
    machine.address("lan", "192.168.77.1/24")
    machine.default_route("192.168.77.254")
    server = Server(case, machine, address="127.0.0.1", listen=listen).start()
    return machine, server, Node(case, machine, server, **node)


class DualStack:
    """Server on the public net with both families; node `a` and viewer `b` behind routers of their own that route IPv6,
    too. Which of the two has an IPv6 address of its own is up to the test."""

    NUMBERS = {"a": 1, "b": 2}
    SERVER6 = Network.WAN6 + "a"

    def __init__(self, case, a="masq", b="masq", v4=("a", "b"), v6=("a", "b"), relay=None, **node):
        self.network = network = Network(case)
        self.server_machine = network.host("s", 10)
        self.a, self.ra = network.home("a", 1, 101, a)
        self.b, self.rb = network.home("b", 2, 102, b)
        network.dual_stack([(self.a, self.ra, 1, 101), (self.b, self.rb, 2, 102)], [(self.server_machine, 10)])
        for machine in (self.a, self.b, self.server_machine):
            machine.hosts({DOMAIN: [self.SERVER6, "203.0.113.10"]})
        for who in v6:
            self.gain_v6(who)
        for who in "ab":
            if who not in v4:
                self.lose_v4(who)
        both = ["203.0.113.10", f"[{self.SERVER6}]"]
        listen = {"sips": [f"{each}:5061" for each in both], "stun": [f"{each}:3478" for each in both]}
        self.server = Server(case, self.server_machine, listen=listen, relay=relay).start()
        self.node = Node(case, self.a, self.server, **node)
        self.viewer = Viewer(case, self.b, self.server)

    def machine(self, who):
        return {"a": self.a, "b": self.b}[who]

    def gain_v6(self, who):
        number = self.NUMBERS[who]
        self.machine(who).address("eth0", f"2001:db8:{number}::2/64")
        self.machine(who).default_route(f"2001:db8:{number}::1")

    def gain_v4(self, who):
        number = self.NUMBERS[who]
        self.machine(who).address("eth0", f"192.168.{number}.2/24")
        self.machine(who).default_route(f"192.168.{number}.1")

    def lose_v4(self, who):
        self.machine(who).run("ip", "address", "del", f"192.168.{self.NUMBERS[who]}.2/24", "dev", "eth0")

    def lose_v6(self, who):
        self.machine(who).run("ip", "address", "del", f"2001:db8:{self.NUMBERS[who]}::2/64", "dev", "eth0")


class TwoHomes:
    """Server on the public net; node `a` and viewer `b`, each behind a router of its own."""

    def __init__(self, case, a="masq", b="masq", flow_timer=None, delay=0.0, listen=None, relay=None,
                 wan="203.0.113", **node):
        self.network = Network(case, wan)
        self.server_machine = self.network.host("s", 10)
        self.a, self.ra = self.network.home("a", 1, 101, a)
        self.b, self.rb = self.network.home("b", 2, 102, b)
        for machine in (self.a, self.b, self.server_machine):
            machine.hosts({DOMAIN: f"{wan}.10"})
        if delay:
            for port in ("ra", "rb", "s"):
                self.network.wire.set(port, delay=delay / 2)
        self.server = Server(
            case, self.server_machine, address=f"{wan}.10", flow_timer=flow_timer, listen=listen, relay=relay).start()
        self.node = Node(case, self.a, self.server, **node)
        self.viewer = Viewer(
            case, self.b, self.server, serials=[each["serial"] for each in self.node.cameras],
            transport=node.get("transport", "tls"))
