"""The programs under test, driven through their stable interface: command line, YAML, JSON, exit codes."""

import json
import pathlib
import signal
import time

DOMAIN = "rv.example.org"
# A first start makes a key pair and, at the server, a certificate authority.
START_SECONDS = 15


def yaml(value):
    """JSON is YAML."""
    return json.dumps(value, indent=1) + "\n"


def every(value, key):
    """All values under `key`, at any depth: the JSON only ever gains levels around what is there."""
    if isinstance(value, dict):
        return [found for name, inner in value.items()
                for found in ([inner] if name == key else []) + every(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in every(inner, key)]
    return []


class Server:
    """edge-rendezvous on one machine of the net."""

    def __init__(self, case, namespace, address="203.0.113.10", flow_timer=None, name="server", listen=None, relay=None,
                 more_addresses=()):
        self.case, self.namespace, self.address, self.name = case, namespace, address, name
        self.folder = case.folder / name
        self.folder.mkdir()
        self.config = self.folder / "rendezvous.yaml"
        self.control = self.folder / "c.sock"
        self.ca = self.folder / "ca.pem"
        settings = {
            "domain": DOMAIN,
            "listen": {"sips": f"{address}:5061", "sip-tcp": f"{address}:5060", "sip-udp": f"{address}:5060",
                       "stun": f"{address}:3478",
                       "nat-discovery": [f"{each}:3479" for each in (address, *more_addresses)]},
            "tls": {"certificate": str(self.folder / "server.pem"), "key": str(self.folder / "server.key")},
            "database": str(self.folder / "rendezvous.sqlite"),
            "control-socket": str(self.control),
        }
        settings["listen"].update(listen or {})
        if relay is not None:
            settings["relay"] = relay
        if flow_timer:
            settings["flow-timer"] = flow_timer
        self.config.write_text(yaml(settings))
        self.process = None

    def start(self):
        self.process = self.case.start(
            self.name, [self.case.program("edge-rendezvous"), "run", "--config", self.config], self.namespace)
        self.case.wait_until(lambda: self.status() is not None or not self.process.running(), START_SECONDS,
                             lambda: f"{self.name} does not answer `status`:\n{self.process.kept_tail()}")
        if not self.process.running():
            self.case.fail(f"{self.name}: {self.process.state()}:\n{self.process.kept_tail()}")
        return self

    def command(self, *arguments, stdin=None):
        return self.case.complete(
            [self.case.program("edge-rendezvous"), *arguments, "--config", self.config], self.namespace, stdin=stdin)

    def must(self, *arguments):
        done = self.command(*arguments)
        self.case.assertEqual(done.returncode, 0, f"edge-rendezvous {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def status(self):
        """What `status --json` says of a running server, or None."""
        if self.process is None or not self.process.running():
            return None
        done = self.command("status", "--json")
        try:
            return json.loads(done.stdout) if done.returncode in (0, 2) and self.control.exists() else None
        except ValueError:
            return None

    def account(self, name, password=None, node=False, md5=False):
        """Makes an account and returns the file its password is in."""
        file = self.case.folder / f"{name}.password"
        file.write_text(password or f"secret of {name}")
        self.must("account", "add", name, *(["--node"] if node else []), *(["--md5"] if md5 else []),
                  "--password-file", str(file))
        return file

    def grant(self, user, *serials):
        for serial in serials:
            self.must("grant", user, serial)

    def serials(self):
        """The serials somebody has published now."""
        return {serial for node in (self.status() or {}).get("nodes", []) for serial in node["serials"]}

    def wait_serial(self, serial, seconds, present=True):
        self.case.wait_until(lambda: (serial in self.serials()) == present, seconds,
                             lambda: f"the server's published serials are {sorted(self.serials())}; "
                                     f"{serial} should {'be' if present else 'not be'} there")


class Account:
    """Where and as whom a node or viewer logs in."""

    def __init__(self, server, name, password_file, transport="tls"):
        self.server, self.name, self.password_file, self.transport = server, name, password_file, transport

    @property
    def uri(self):
        return {"tls": f"sips:{DOMAIN}:5061", "tls443": f"sips:{DOMAIN}:443", "tcp": f"sip:{DOMAIN}:5060;transport=tcp",
                "udp": f"sip:{DOMAIN}:5060"}[self.transport]

    def section(self):
        return {"uri": self.uri, "account": self.name, "password-file": str(self.password_file),
                "ca-file": str(self.server.ca)}


class Node:
    """`edge run` on one machine of the net."""

    def __init__(self, case, namespace, server, name="gate-box", cameras=None, resources=None, transport="tls",
                 account=None, program=None):
        self.case, self.namespace, self.server, self.name = case, namespace, server, name
        self.program = program or case.program("edge")
        self.folder = case.folder / name
        self.folder.mkdir()
        self.account = account or Account(server, name, server.account(name, node=True), transport)
        self.config = self.folder / "edge.yaml"
        # `edge run` makes the directory, as below /run.
        self.socket = self.folder / "run" / "s.sock"
        self.cameras = cameras if cameras is not None else [
            {"serial": "CAM-1", "source": "testcard", "size": "320x240", "fps": 15}]
        self.settings = {
            "node": {"name": name, "state-dir": str(self.folder / "state"), "status-socket": str(self.socket)},
            "rendezvous": self.account.section(), "cameras": self.cameras, "resources": resources or []}
        self.process = None

    def start(self):
        self.config.write_text(yaml(self.settings))
        self.process = self.case.start(
            self.name, [self.program, "run", "--config", self.config], self.namespace)
        return self

    def command(self, *arguments, **options):
        return self.case.complete([self.case.program("edge"), *arguments, "--config", self.config], self.namespace,
                                  **options)

    def status(self):
        """What `status --json` says, or None while the daemon does not answer."""
        done = self.command("status", "--json")
        try:
            return json.loads(done.stdout) if done.returncode in (0, 1, 2) else None
        except ValueError:
            return None

    def link(self):
        return ((self.status() or {}).get("link") or {}).get("state", "no answer")

    def wait_link(self, state, seconds):
        """Returns how long it took."""
        started = time.monotonic()
        self.case.wait_until(lambda: self.link() == state, seconds,
                             lambda: f"the link of {self.name} is '{self.link()}', not '{state}': {self.status()}")
        return time.monotonic() - started

    def ready(self, seconds=20):
        """Logged in and published."""
        self.start()
        self.wait_link("connected", seconds)
        for camera in self.cameras:
            self.server.wait_serial(camera["serial"], seconds)
        return self

    def health(self):
        return [(each.get("code"), each.get("text")) for each in (self.status() or {}).get("health", [])]


class Viewer:
    """`edge view`, `edge devices` as one account, on one machine of the net."""

    def __init__(self, case, namespace, server, name="anna", serials=("CAM-1",), transport="tls", account=None):
        self.case, self.namespace, self.server, self.name = case, namespace, server, name
        if account is None:
            account = Account(server, name, server.account(name), transport)
            server.grant(name, *serials)
        self.account = account
        self.count = 0
        self.home = case.folder / f"home-{name}"
        self.home.mkdir(exist_ok=True)

    def options(self):
        options = ["--rendezvous", self.account.uri, "--user", self.account.name, "--password-file",
                   str(self.account.password_file)]
        return options + (["--ca", str(self.server.ca)] if self.account.transport.startswith("tls") else [])

    def environment(self):
        # The viewer keeps its key pair in the user's own state directory.
        return {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def view(self, serial="CAM-1", *more, output=None, form="raw"):
        """Starts `edge view`; the picture file and the figures are attributes of the process."""
        self.count += 1
        stem = self.case.folder / f"{self.name}.{self.count}"
        picture, stats = pathlib.Path(f"{stem}.{form}"), pathlib.Path(f"{stem}.stats.json")
        process = self.case.start(
            f"view-{self.name}", [self.case.program("edge"), "view", serial, *self.options(), "--format", form, "--output",
                                  output or picture, "--stats", stats, *more],
            self.namespace, environment=self.environment())
        process.picture, process.stats = picture, stats
        return process

    def frames(self, count, serial="CAM-1", seconds=40, *more):
        """Views `count` frames to the end and returns the figures."""
        process = self.view(serial, "--frames", str(count), *more)
        status = process.wait(seconds)
        self.case.assertEqual(status, 0, f"edge view: {process.text()}")
        figures = json.loads(process.stats.read_text())
        self.case.assertEqual(figures["frames"], count, figures)
        return figures

    def devices(self):
        done = self.case.complete([self.case.program("edge"), "devices", "--json", *self.options()], self.namespace,
                                  env=self.environment())
        self.case.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


def terminal(case, machine, server, account, number):
    """A device of an account, with a state directory of its own."""
    device = Viewer.__new__(Viewer)
    device.case, device.namespace, device.server, device.name = case, machine, server, account.name
    device.account, device.count = account, 0
    device.home = case.folder / f"{account.name}-{number}"
    device.home.mkdir(exist_ok=True)
    return device


def interrupt(process, seconds=10):
    """Ctrl-C, and the exit status."""
    process.signal(signal.SIGINT)
    return process.wait(seconds)
