"""The NAT grid: which pairs of routers two ends meet through, measured with the real programs.

A bench is one small internet: the server, and two homes whose routers are given other rules for every cell.
"""

import dataclasses
import json
import time

from . import nat
from .network import Network
from .nodes import DOMAIN, Node, Server, Viewer

# What each rule set is, as RFC 4787 names it: mapping and filtering.
KINDS = {
    "masq": ("EIM", "APDF"), "masq_reject": ("EIM", "APDF"), "masq_persistent": ("EIM", "APDF"),
    "masq_noindrop": ("EIM", "APDF"), "snat_range": ("EIM", "APDF"), "jhash_eim": ("EIM", "APDF"),
    "masq_random": ("APDM", "APDF"), "masq_fullyrandom": ("APDM", "APDF"), "jhash_apdm": ("APDM", "APDF"),
    "jhash_adm": ("ADM", "APDF"), "fullcone": ("EIM", "EIF"), "restricted": ("EIM", "ADF"),
    "noudp": ("none", "none"), "public": ("none", "EIF"), "fullcone_hair": ("EIM", "EIF"),
}
ROUTERS = [name for name in KINDS if name not in ("noudp", "public", "fullcone_hair")]

DISAGREEMENT = "the two ends name different pairs"

# Packets that are to die on the way do so here: as many routers are between a home and the middle of the net.
HOPS = 6


def expected(a, b):
    """`direct` or `relay`, by the reasoning of RFC 5128 on mapping and filtering."""
    if "noudp" in (a, b):
        return "relay"
    for (_, filtering), (mapping, _) in ((KINDS[a], KINDS[b]), (KINDS[b], KINDS[a])):
        # A side that filters by port must know the other's port beforehand.
        if filtering == "APDF" and mapping != "EIM":
            return "relay"
    return "direct"


@dataclasses.dataclass
class Result:
    a: str
    b: str
    skew: float
    expected: str
    path: str = "-"
    agree: bool = False
    first_frame_ms: float = 0
    path_ms: float = 0
    server_bytes: int = 0
    media_bytes: int = 0
    error: str = ""

    @property
    def found(self):
        return "relay" if self.path == "relay" else "direct" if self.path in ("host", "srflx", "prflx") else "none"

    @property
    def fault(self):
        """What is wrong with the cell, or nothing."""
        if self.error:
            return self.error
        if self.found != self.expected:
            return f"{self.found} ({self.path}) where {self.expected} was expected"
        if not self.agree:
            return DISAGREEMENT
        # Every picture crossed the relay, or none did: what else the server carries is signalling.
        crossed = self.server_bytes > 2 * self.media_bytes * 0.8
        if crossed != (self.expected == "relay"):
            return f"{self.server_bytes} bytes at the server for {self.media_bytes} bytes of pictures, path {self.path}"
        return ""

    def line(self):
        verdict = self.fault or self.found
        return (f"{self.a:16} {self.b:16} {self.skew:4.1f} s  {self.path:6} {self.path_ms:6.0f} ms "
                f"{self.first_frame_ms:6.0f} ms  {verdict}")


class Bench:
    """Server, node `a` and viewer `b`. `cell` measures one pair of routers."""

    FRAMES = 30
    CAMERA = {"serial": "CAM-1", "source": "testcard", "size": "320x240", "fps": 30}

    def __init__(self, case, delay=0.005):
        self.case = case
        self.network = Network(case)
        self.server_machine = self.network.host("s", 10)
        self.build()
        for machine in (self.a, self.b, self.server_machine):
            machine.hosts({DOMAIN: "203.0.113.10"})
        self.delay = delay
        for port, hops in self.ports():
            self.network.wire.set(port, delay=delay, hops=hops)
        self.server = Server(case, self.server_machine, relay={"ports": "50000-50999"}).start()
        self.node = Node(case, self.a, self.server, cameras=[self.CAMERA])
        self.viewer = Viewer(case, self.b, self.server)

    def build(self):
        """Makes the machines `a` and `b`, and the routers in front of them."""
        self.a, self.ra = self.network.home("a", 1, 101)
        self.b, self.rb = self.network.home("b", 2, 102)

    def ports(self):
        return (("ra", HOPS), ("rb", HOPS), ("s", 0))

    def routers(self, a, b):
        for router, name, public in ((self.ra, a, 101), (self.rb, b, 102)):
            router.rules(nat.rules(name, f"203.0.113.{public}"))
            router.flush_connections()

    def cell(self, a, b, skew=0.0, expects=None, prepare=None):
        """Starts node and viewer behind routers `a` and `b`, and tells what came of it."""
        result = Result(a, b, skew, expects or expected(a, b))
        (prepare or (lambda: self.routers(a, b)))()
        # The answer, and with it the start of the viewer's checks, is late by what the server's link takes.
        self.network.wire.set("s", delay=self.delay + skew / 2)
        if skew:
            # What logs in over a slow link takes its time, and is not what is measured.
            self.case.assertLess(skew, 1)
        try:
            self.node.ready(30)
            self.measure(result, self.FRAMES)
            if result.fault == DISAGREEMENT:
                # The node was asked while one end had just moved to a better pair: it must settle.
                self.measure(result, 4 * self.FRAMES)
        except AssertionError as error:
            result.error = str(error).split("\n")[0]
        finally:
            self.node.process.stop()
            if self.node.process in self.case.processes:
                self.case.processes.remove(self.node.process)
        return result

    def measure(self, result, frames):
        before = sum(self.server_machine.counters("wan"))
        process = self.viewer.view("CAM-1", "--frames", str(frames), "--duration", "30")
        sessions = []
        while process.running():
            time.sleep(0.05)
            told = (self.node.status() or {}).get("sessions", [])
            sessions = told or sessions
        status = process.wait(5)
        result.server_bytes = sum(self.server_machine.counters("wan")) - before
        if process.stats.exists():
            figures = json.loads(process.stats.read_text())
            result.path = figures["path"] or "-"
            result.media_bytes = figures["bytes"]
            result.first_frame_ms = figures["first_frame_ms"] or 0
            result.path_ms = (figures["path_ms"] or 0) - (figures["answer_ms"] or 0)
            told = sessions[-1] if sessions else {}
            result.agree = (told.get("remote"), told.get("local")) == (figures["local"], figures["remote"]) and (
                (told.get("path") == "relay") == (figures["path"] == "relay"))
        if status != 0:
            result.error = f"exit status {status}: {process.text().strip().splitlines()[-1]}"
        self.case.processes.remove(process)


class PublicHost(Bench):
    """The viewer has an address of its own on the public net."""

    def build(self):
        self.a, self.ra = self.network.home("a", 1, 101)
        self.b = self.network.host("b", 150)

    def ports(self):
        return (("ra", HOPS), ("b", HOPS), ("s", 0))

    def routers(self, a, b):
        self.ra.rules(nat.rules(a, "203.0.113.101"))
        self.ra.flush_connections()


class OneRouter(Bench):
    """Both ends behind one router: on one network of it, or on two it keeps apart."""

    def __init__(self, case, apart=False):
        self.apart = apart
        super().__init__(case)

    def build(self):
        self.a, self.ra = self.network.home("a", 1, 101)
        self.b = self.network.namespace("b")
        self.network.pair(self.b, "eth0", self.ra, "lan2")
        if self.apart:
            self.ra.address("lan2", "192.168.2.1/24")
            self.b.address("eth0", "192.168.2.2/24")
            self.b.default_route("192.168.2.1")
        else:
            self.ra.bridge("net", "lan", "lan2")
            self.ra.address("net", "192.168.1.1/24")
            self.b.address("eth0", "192.168.1.3/24")
            self.b.default_route("192.168.1.1")

    def ports(self):
        return (("ra", HOPS), ("s", 0))

    def routers(self, a, b):
        self.ra.rules(nat.rules(a, "203.0.113.101") + nat.APART)
        self.ra.flush_connections()


class Carrier(Bench):
    """Both homes behind one carrier's NAT, or only the node's."""

    def __init__(self, case, both=True):
        self.both = both
        super().__init__(case)

    def build(self):
        network = self.network
        self.carrier = network.namespace("isp")
        network.attach(self.carrier, "wan", "203.0.113.101/24")
        network.router(self.carrier)
        self.a, self.ra = network.home_behind(self.carrier, "a", 1, "100.64.0.11")
        if self.both:
            self.b, self.rb = network.home_behind(self.carrier, "b", 2, "100.64.0.13")
            self.carrier.bridge("lan", "down-a", "down-b")
        else:
            self.b, self.rb = network.home("b", 2, 102)
            self.carrier.bridge("lan", "down-a")
        self.carrier.address("lan", "100.64.0.1/24")

    def ports(self):
        return (("isp", HOPS), ("s", 0)) + (() if self.both else (("rb", HOPS),))

    def routers(self, a, b):
        """`a` is the carrier's kind; the homes are masq."""
        self.carrier.rules(nat.rules(a, "203.0.113.101"))
        self.carrier.flush_connections()
        for router, public in ((self.ra, "100.64.0.11"), (self.rb, "100.64.0.13" if self.both else "203.0.113.102")):
            router.rules(nat.rules("masq", public))
            router.flush_connections()


def read(folder):
    """The results that rows left there, in the order of ROUTERS."""
    order = [*ROUTERS, "noudp"]
    results = []
    for path in sorted(folder.glob("*.json"), key=lambda path: order.index(path.stem) if path.stem in order else 99):
        results += [Result(**each) for each in json.loads(path.read_text())]
    return results


def table(results):
    """Rows and columns of the first skew, a mark a skew: D direct, R relay, ! not as expected."""
    rows = list(dict.fromkeys(result.a for result in results))
    columns = list(dict.fromkeys(result.b for result in results))
    cells = {}
    for result in results:
        mark = "!" if result.fault else "R" if result.expected == "relay" else "D"
        cells[result.a, result.b] = cells.get((result.a, result.b), "") + mark
    width = max(len(name) for name in rows) + 1
    lines = [" " * width + " ".join(f"{name[:9]:9}" for name in columns)]
    for row in rows:
        lines.append(f"{row:{width}}" + " ".join(f"{cells.get((row, column), ''):9}" for column in columns))
    return "\n".join(lines)
