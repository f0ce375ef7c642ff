"""Network namespaces, veth pairs, routers with NAT, and the wire between them.

All names carry the test's process number, and everything is taken down when the test ends, also by
a failure or SIGTERM. What a killed run left behind is removed by the next one.
"""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess

from . import nat
from .wire import Wire

PREFIX = "edget"
ETC = pathlib.Path("/etc/netns")
CLONE_NEWNET = 0x40000000

# struct ethtool_value requests: offloads that make a frame on a veth differ from one on a cable.
SIOCETHTOOL = 0x8946
OFFLOADS = {"tx-checksum": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}


def ip(*arguments):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def sweep():
    """Removes the namespaces of runs that are no more."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        found = re.fullmatch(PREFIX + r"-(\d+)-.*", name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            remove(name)


def remove(name):
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    shutil.rmtree(ETC / name, ignore_errors=True)


class Namespace:
    """One machine on the simulated net."""

    def __init__(self, label):
        self.label = label
        self.name = f"{PREFIX}-{os.getpid()}-{label}"
        ip("netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def prefix(self):
        return ["ip", "netns", "exec", self.name]

    def run(self, *command, stdin=None):
        done = subprocess.run([*self.prefix(), *map(str, command)], capture_output=True, text=True, input=stdin)
        if done.returncode != 0:
            raise AssertionError(f"{self.label}: {' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    @contextlib.contextmanager
    def entered(self):
        """Sockets made inside are of this machine, and stay so."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise AssertionError(f"setns: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def address(self, interface, *addresses):
        for address in addresses:
            self.run("ip", "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def default_route(self, gateway):
        self.run("ip", *(["-6"] if ":" in gateway else []), "route", "replace", "default", "via", gateway)

    def link(self, interface, state):
        """`state` is up or down: a cable pulled and put back."""
        self.run("ip", "link", "set", interface, state)

    def bridge(self, name, *ports):
        """Joins interfaces of this machine to one network; their addresses are gone."""
        self.run("ip", "link", "add", name, "type", "bridge")
        for port in ports:
            self.run("ip", "address", "flush", "dev", port)
            self.run("ip", "link", "set", port, "master", name)
            self.link(port, "up")
        self.link(name, "up")

    def sysctl(self, **settings):
        for name, value in settings.items():
            self.run("sysctl", "-q", "-w", f"{name.replace('__', '.')}={value}")

    def rules(self, text):
        """Replaces the nftables rules."""
        self.run("nft", "-f", "-", stdin="flush ruleset\n" + text)

    def flush_connections(self):
        """The router forgets every mapping, as after a restart."""
        self.run("conntrack", "-F")

    def hosts(self, entries):
        """Names this machine resolves."""
        folder = ETC / self.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", "::1 localhost"] + [
            f"{address} {name}" for name, told in entries.items()
            for address in ([told] if isinstance(told, str) else told)]
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        (folder / "resolv.conf").write_text("")

    def counters(self, interface):
        """Bytes this machine received and sent there."""
        told = json.loads(self.run("ip", "-json", "-s", "link", "show", interface))[0]["stats64"]
        return told["rx"]["bytes"], told["tx"]["bytes"]

    def plain_frames(self, interface):
        """Switches off the offloads, so that every frame is one a cable could carry."""
        # The ioctl acts in the namespace of the socket, so a socket is made in there.
        script = ("import fcntl,socket,struct,sys,array\n"
                  "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                  f"for code in {list(OFFLOADS.values())}:\n"
                  " a=array.array('B',struct.pack('II',code,0)); p,_=a.buffer_info()\n"
                  f" try: fcntl.ioctl(s,{SIOCETHTOOL},struct.pack('16sP',sys.argv[1].encode(),p).ljust(40,b'\\0'))\n"
                  " except OSError: pass\n")
        self.run("python3", "-c", script, interface)


class Network:
    """The namespaces of one test, and the wire (the middle of the net) that joins them."""

    WAN6 = "2001:db8:ff::"

    def __init__(self, case, wan="203.0.113"):
        # The documentation block unless said otherwise: on-link for all, with no route to anybody's private addresses.
        self.WAN = wan
        self.case = case
        self.namespaces = []
        self.wire = None
        self._ports = itertools.count()
        sweep()
        case.addCleanup(self.remove)

    def remove(self):
        if self.wire:
            self.wire.stop()
        for namespace in self.namespaces:
            remove(namespace.name)
        self.namespaces.clear()

    def namespace(self, label):
        namespace = Namespace(label)
        self.namespaces.append(namespace)
        return namespace

    def pair(self, first, first_interface, second, second_interface):
        """A cable between two machines."""
        ip("link", "add", first_interface, "netns", first.name, "type", "veth", "peer", "name", second_interface,
           "netns", second.name)
        for namespace, interface in ((first, first_interface), (second, second_interface)):
            namespace.link(interface, "up")

    def core(self):
        """The namespace the wire runs in, made on first use."""
        if not self.wire:
            self.wire = Wire(self.case, self.namespace("core"))
        return self.wire

    def attach(self, namespace, interface, *addresses):
        """Plugs a machine into the middle of the net. The port is named after the machine."""
        wire = self.core()
        port = f"p{next(self._ports)}"
        self.pair(namespace, interface, wire.namespace, port)
        namespace.plain_frames(interface)
        wire.namespace.plain_frames(port)
        # The middle of the net has no address and speaks for itself nowhere.
        wire.namespace.sysctl(**{f"net__ipv6__conf__{port}__disable_ipv6": 1})
        namespace.address(interface, *addresses)
        wire.add(namespace.label, port)

    def host(self, label, last, *more):
        """A machine with a public address."""
        namespace = self.namespace(label)
        self.attach(namespace, "wan", f"{self.WAN}.{last}/24", *[f"{self.WAN}.{each}/24" for each in more])
        return namespace

    def home(self, label, number, last, rules="masq"):
        """A machine behind a router of its own: 192.168.NUMBER.2, the router at WAN.LAST.

        Returns the machine and its router.
        """
        router = self.namespace(f"r{label}")
        self.attach(router, "wan", f"{self.WAN}.{last}/24")
        machine = self.namespace(label)
        self.pair(machine, "eth0", router, "lan")
        machine.address("eth0", f"192.168.{number}.2/24")
        router.address("lan", f"192.168.{number}.1/24")
        machine.default_route(f"192.168.{number}.1")
        self.router(router)
        router.rules(nat.rules(rules, f"{self.WAN}.{last}"))
        return machine, router

    def router(self, namespace):
        """Lets a machine with a `wan` interface forward."""
        namespace.sysctl(
            net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__wan__rp_filter=0,
            net__ipv4__conf__all__send_redirects=0, net__ipv4__conf__wan__send_redirects=0)

    def dual_stack(self, homes, hosts):
        """Gives homes (machine, router, number, last) and public hosts (machine, last) IPv6 as well: a prefix of its
        own for each home, and routers that let in only what was asked for from inside."""
        for _, router, number, last in homes:
            router.sysctl(net__ipv6__conf__all__forwarding=1)
            router.address("wan", f"{self.WAN6}{last:x}/64")
            router.address("lan", f"2001:db8:{number}::1/64")
            router.run("nft", "-f", "-", stdin=nat.FORWARD.replace("table ip f", "table ip6 f"))
        for machine, last in hosts:
            machine.address("wan", f"{self.WAN6}{last:x}/64")
        for machine, router, number, last in homes:
            for other in [each[1] for each in homes if each[1] is not router] + [each[0] for each in hosts]:
                other.run("ip", "-6", "route", "add", f"2001:db8:{number}::/64", "via", f"{self.WAN6}{last:x}")

    def home_behind(self, carrier, label, number, address):
        """As `home`, but the router is at 100.64.0.0/24 behind a carrier's, plugged into its interface down-LABEL."""
        router = self.namespace(f"r{label}")
        self.pair(router, "wan", carrier, f"down-{label}")
        router.address("wan", f"{address}/24")
        router.default_route("100.64.0.1")
        machine = self.namespace(label)
        self.pair(machine, "eth0", router, "lan")
        machine.address("eth0", f"192.168.{number}.2/24")
        router.address("lan", f"192.168.{number}.1/24")
        machine.default_route(f"192.168.{number}.1")
        self.router(router)
        return machine, router
