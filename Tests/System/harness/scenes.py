"""Set-ups several tests start from."""

from .network import Network
from .nodes import DOMAIN, Node, Server, Viewer


def one_machine(case, **node):
    """Server, node and viewer on one machine, over its loopback interface."""
    network = Network(case)
    machine = network.namespace("box")
    machine.hosts({DOMAIN: "127.0.0.1"})
    # An address a path can be found on: loopback ones are not offered to a peer (RFC 8445 §5.1.1.1).
    network.pair(machine, "lan", network.namespace("neighbour"), "lan")
    machine.address("lan", "192.168.77.1/24")
    machine.default_route("192.168.77.254")
    server = Server(case, machine, address="127.0.0.1").start()
    return machine, server, Node(case, machine, server, **node)


class TwoHomes:
    """Server on the public net; node `a` and viewer `b`, each behind a router of its own."""

    def __init__(self, case, a="masq", b="masq", flow_timer=None, delay=0.0, listen=None, relay=None, **node):
        self.network = Network(case)
        self.server_machine = self.network.host("s", 10)
        self.a, self.ra = self.network.home("a", 1, 101, a)
        self.b, self.rb = self.network.home("b", 2, 102, b)
        for machine in (self.a, self.b, self.server_machine):
            machine.hosts({DOMAIN: "203.0.113.10"})
        if delay:
            for port in ("ra", "rb", "s"):
                self.network.wire.set(port, delay=delay / 2)
        self.server = Server(
            case, self.server_machine, flow_timer=flow_timer, listen=listen, relay=relay).start()
        self.node = Node(case, self.a, self.server, **node)
        self.viewer = Viewer(
            case, self.b, self.server, serials=[each["serial"] for each in self.node.cameras],
            transport=node.get("transport", "tls"))
