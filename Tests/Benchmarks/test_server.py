"""What the server costs: a refresh beside Kamailio's, and memory for what it holds."""

import pathlib
import shutil
import subprocess
import sys

from harness import Case, Network, Server
from harness.nodes import DOMAIN

HERE = pathlib.Path(__file__).resolve().parent
DEVICES = 200
# Kamailio is C that parses a header field only when somebody asks for it; ours checks every message as a whole first.
WORST_RATIO = 3


class ServerFigures(Case):
    seconds = 300

    def setUp(self):
        super().setUp()
        self.machine = Network(self).namespace("box")
        self.machine.hosts({DOMAIN: "127.0.0.1"})
        self.server = Server(self, self.machine, address="127.0.0.1").start()

    # MARK: A refresh

    def refresh(self, port, calls, rate):
        return self.complete([
            "sipp", f"127.0.0.1:{port}", "-sf", HERE / "refresh.xml", "-inf", self.users, "-s", DOMAIN, "-t", "ui",
            "-ip_field", "2", "-i", "127.0.0.1", "-p", "5090", "-m", calls, "-r", rate, "-max_socket", "1000", "-nostdin", "-timeout", "120",
            "-timeout_error", "-trace_err", "-error_file", self.folder / "sipp.log"], self.machine, timeout=150,
            cwd=self.folder)

    def measured(self, name, port, cpu):
        """Microseconds of a core for one refresh."""
        calls = 8000
        for count in (DEVICES, calls):
            before = cpu()
            done = self.refresh(port, count, 500)
            log = self.folder / "sipp.log"
            self.assertEqual(done.returncode, 0, f"{name}: {done.stdout[-1500:]}"
                             f"{log.read_text(errors='replace')[-1500:] if log.exists() else ''}")
        return (cpu() - before) / calls * 1e6

    def test_a_refresh_beside_kamailio(self):
        self.assertTrue(shutil.which("kamailio"), "kamailio is missing: make bench installs it")
        self.users = self.folder / "users.csv"
        lines = ["SEQUENTIAL"]
        for number in range(DEVICES):
            name = f"phone-{number}"
            self.server.account(name, password="opensesame", md5=True)
            lines.append(f"{name};[authentication username={name} password=opensesame];127.0.1.{number + 1}")
        self.users.write_text("\n".join(lines) + "\n")
        kamailio = self.start("kamailio", ["kamailio", "-DD", "-E", "-f", HERE / "kamailio.cfg", "-m", "64", "-Y",
                                           self.folder], self.machine)
        self.wait_until(lambda: ":5070" in self.machine.run("ss", "-lun"), 10, "kamailio does not listen")
        figures = {}
        # In turns, so that what else the machine does falls on both.
        for turn in range(2):
            for name, port, process in (("edge-rendezvous", 5060, self.server.process), ("kamailio", 5070, kamailio)):
                figures.setdefault(name, []).append(self.measured(name, port, process.session_cpu_seconds))
        ours, theirs = (min(figures[name]) for name in ("edge-rendezvous", "kamailio"))
        self.note(f"one refresh (REGISTER, 401, REGISTER with MD5 digest, 200) over UDP: edge-rendezvous {ours:.0f} us "
                  f"of a core, kamailio {theirs:.0f} us, ratio {ours / theirs:.2f} (at most {WORST_RATIO})")
        self.assertLessEqual(ours, WORST_RATIO * theirs)

    # MARK: Memory

    def hold(self, transport, port, count, first, *ca):
        process = self.start(f"devices-{first}", [sys.executable, HERE / "devices.py", transport, f"127.0.0.1:{port}",
                                                  DOMAIN, count, first, *ca], self.machine, stdin=subprocess.PIPE)
        process.wait_for("^ready", 120)

    def each(self, transport, port, count, *ca):
        """Bytes of the server for each of `count` devices, after as many as make it ready for more."""
        ready = 200
        for number in range(0, ready + count, 10):
            self.server.account(f"device-{number // 10}")
        self.hold(transport, port, ready, 0, *ca)
        before = self.server.process.resident_bytes()
        self.hold(transport, port, count, ready, *ca)
        held = sum((self.server.status() or {})["flows"].values())
        self.assertGreaterEqual(held, ready + count)
        return (self.server.process.resident_bytes() - before) / count, before

    def test_memory_for_each_udp_contact(self):
        each, before = self.each("udp", 5060, 2000)
        self.note(f"server: {before / 1e6:.1f} MB resident, and {each / 1000:.2f} kB for each registered UDP contact")

    def test_memory_for_each_idle_tls_connection(self):
        each, before = self.each("tls", 5061, 400, self.server.ca)
        self.note(f"server: {before / 1e6:.1f} MB resident, and {each / 1000:.1f} kB for each idle TLS connection with "
                  "its registered contact")
