"""What people and strangers do wrong: each a clear message, the documented exit code, and nothing else disturbed."""

import os
import random
import socket
import subprocess

from harness import Case, Node, Viewer
from harness.nodes import Account
from harness.scenes import one_machine

GARBAGE = """
import os, random, socket, sys
generator = random.Random(int(sys.argv[1]))
texts = [b"", b"\\0" * 70000, b"GET / HTTP/1.1\\r\\n\\r\\n", b"\\r\\n" * 9000, b"INVITE sip:x SIP/2.0\\r\\n" * 400,
         b"REGISTER sip:a SIP/2.0\\r\\nContent-Length: 99999999999999999999\\r\\n\\r\\n", b"\\x16\\x03\\x01\\xff\\xff" + b"a" * 300,
         b"\\x00\\x01\\xff\\xfc\\x21\\x12\\xa4\\x42" + b"b" * 12, b"SIP/2.0 200 OK\\r\\n\\r\\n",
         b"OPTIONS sip:x SIP/2.0\\r\\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\\r\\n" + b"X: y\\r\\n" * 3000]
texts += [generator.randbytes(generator.randrange(1, 1400)) for _ in range(60)]
for port in (5060, 5061, 3478):
    for text in texts:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                s.sendall(text)
        except OSError: pass
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in (5060, 3478):
    for text in texts:
        try: udp.sendto(text[:1400], ("127.0.0.1", port))
        except OSError: pass
held = []
for port in (5060, 5061, 3478):
    for _ in range(20):
        try:
            s = socket.create_connection(("127.0.0.1", port), 2); s.sendall(b"REGI"); held.append(s)
        except OSError: pass
print("sent", len(held), flush=True)
"""


class Mistakes(Case):
    seconds = 120

    def setUp(self):
        super().setUp()
        self.machine, self.server, self.node = one_machine(self)

    def told(self, done, status, *words):
        """The exit status, and an explanation on stderr that a person can use; nothing on stdout."""
        self.assertEqual(done.returncode, status, f"stdout: {done.stdout}\nstderr: {done.stderr}")
        self.assertEqual(done.stdout, "")
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertTrue(1 <= len(lines) <= 12, f"a person reads this:\n{done.stderr}")
        for word in words:
            self.assertRegex(done.stderr, rf"(?i){word}")
        self.assertNotRegex(done.stderr, r"(?i)fatal error|stack dump|secret of")

    def undisturbed(self):
        self.assertTrue(self.server.process.running(), self.server.process.state())
        self.assertTrue(self.node.process.running(), self.node.process.state())
        self.assertEqual(self.node.link(), "connected")
        self.assertEqual(Viewer(self, self.machine, self.server, name="witness").frames(3)["frames_lost"], 0)

    def view(self, viewer, *arguments, serial="CAM-1"):
        if "--output" not in arguments:
            arguments += ("--output", str(self.folder / "unwanted.y4m"))
        return self.complete([self.program("edge"), "view", serial, *viewer.options(), *arguments], self.machine,
                             timeout=60, env=viewer.environment())

    def test_unknown_and_forbidden_serials_are_told_alike(self):
        self.node.ready()
        viewer = Viewer(self, self.machine, self.server, serials=())
        unknown = self.view(viewer, serial="CAM-9")
        forbidden = self.view(viewer, serial="CAM-1")
        self.told(unknown, 1, "CAM-9")
        self.told(forbidden, 1, "CAM-1")
        self.assertEqual(unknown.stderr.replace("CAM-9", "CAM-1"), forbidden.stderr)
        self.undisturbed()

    def test_a_camera_that_is_offline_is_told_as_such(self):
        self.node.ready()
        viewer = Viewer(self, self.machine, self.server)
        self.node.process.stop()
        self.server.wait_serial("CAM-1", 5, present=False)
        self.told(self.view(viewer), 1, "CAM-1", "offline")

    def test_a_wrong_password_exits_with_77(self):
        self.node.ready()
        viewer = Viewer(self, self.machine, self.server)
        viewer.account.password_file.write_text("not it")
        self.told(self.view(viewer), 77, "password")
        self.undisturbed()

    def test_an_unknown_account_exits_with_77_too(self):
        self.node.ready()
        file = self.folder / "nobody.password"
        file.write_text("x")
        viewer = Viewer(self, self.machine, self.server, name="nobody", account=Account(self.server, "nobody", file))
        self.told(self.view(viewer), 77)
        self.undisturbed()

    def test_a_node_with_a_wrong_password_says_so_and_keeps_trying_slowly(self):
        self.node.account.password_file.write_text("not it")
        self.node.start()
        self.wait_until(lambda: any("password" in (text or "").lower() for _, text in self.node.health()), 15,
                        lambda: f"health: {self.node.health()}, {self.node.status()}")
        self.assertEqual(self.node.command("status").returncode, 1)
        self.assertTrue(self.node.process.running())

    def test_an_unreachable_server_exits_with_69(self):
        viewer = Viewer(self, self.machine, self.server)
        self.server.process.kill()
        self.told(self.view(viewer), 69, "rv.example.org")

    def test_a_server_whose_name_does_not_resolve_exits_with_69(self):
        viewer = Viewer(self, self.machine, self.server)
        self.machine.hosts({})
        self.told(self.view(viewer), 69, "rv.example.org")

    def test_a_certificate_of_a_foreign_authority_is_refused(self):
        self.node.ready()
        viewer = Viewer(self, self.machine, self.server)
        foreign = self.folder / "foreign.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                     self.folder / "foreign.key", "-out", foreign, "-subj", "/CN=somebody else", "-days", "30")
        self.server.ca, right = foreign, self.server.ca
        self.told(self.view(viewer), 69, "certificate")
        self.server.ca = right
        self.undisturbed()

    def test_an_expired_certificate_is_refused(self):
        viewer = Viewer(self, self.machine, self.server)
        self.server.process.stop()
        folder = self.server.folder
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                     folder / "server.key", "-out", folder / "expired.csr", "-subj", "/CN=rv.example.org")
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=d\n[d]\n"
            f"database={folder}/index.txt\nnew_certs_dir={folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
            "x509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:rv.example.org\n")
        self.openssl("ca", "-batch", "-selfsign", "-config", folder / "ca.cnf", "-keyfile", folder / "server.key", "-in",
                     folder / "expired.csr", "-out", folder / "expired.pem", "-startdate", "20200101000000Z",
                     "-enddate", "20210101000000Z", "-notext")
        (folder / "server.pem").write_bytes((folder / "expired.pem").read_bytes())
        self.server.ca = folder / "expired.pem"
        self.server.start()
        self.told(self.view(viewer), 69, "certificate", "expired")

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_camera_that_is_not_there_is_a_health_line_and_the_others_work(self):
        self.node.settings["cameras"].insert(0, {"serial": "CAM-0", "device": "/dev/video99"})
        self.node.start()
        self.node.wait_link("connected", 20)
        self.server.wait_serial("CAM-1", 10)
        self.wait_until(lambda: any("/dev/video99" in (text or "") for _, text in self.node.health()), 10,
                        lambda: f"health: {self.node.health()}")
        self.assertEqual(self.node.command("status").returncode, 2)
        viewer = Viewer(self, self.machine, self.server, serials=("CAM-0", "CAM-1"))
        self.told(self.view(viewer, "--duration", "15", serial="CAM-0"), 1, "CAM-0")
        self.assertEqual(viewer.frames(3)["frames_lost"], 0)

    def test_a_full_disk_at_the_viewer_is_told(self):
        self.node.ready()
        viewer = Viewer(self, self.machine, self.server)
        self.told(self.view(viewer, "--output", "/dev/full", "--format", "raw"), 1, "disk is full")
        self.wait_until(lambda: not self.node.status()["sessions"], 10, "the session outlives its viewer")
        self.undisturbed()

    def test_a_reader_that_goes_away_ends_the_viewer(self):
        self.node.ready()
        viewer = Viewer(self, self.machine, self.server)
        command = " ".join([self.program("edge"), "view", "CAM-1", *viewer.options(), "--output", "-", "--format", "raw"])
        done = self.complete(["bash", "-c", f"{command} | head -c 100000 | wc -c; echo ${{PIPESTATUS[0]}}"], self.machine,
                             env=viewer.environment(), timeout=40)
        self.assertEqual(done.stdout.split()[0], "100000", done.stderr)
        self.undisturbed()

    def test_garbage_on_every_port_disturbs_nothing(self):
        self.node.ready()
        before = self.server.process.resident_bytes()
        strangers = [self.start("garbage", ["python3", "-c", GARBAGE, str(number)], self.machine) for number in range(3)]
        for stranger in strangers:
            self.assertEqual(stranger.wait(60), 0, stranger.text())
        self.undisturbed()
        grown = self.server.process.resident_bytes() - before
        self.assertLess(grown, 16 << 20, f"the server grew by {grown} bytes")

    def test_garbage_on_the_local_sockets_disturbs_nothing(self):
        self.node.ready()
        generator = random.Random(5)
        for path in (self.node.socket, self.server.control):
            for size in (1, 100, 70_000):
                with socket.socket(socket.AF_UNIX) as stranger:
                    stranger.settimeout(2)
                    stranger.connect(str(path))
                    try:
                        stranger.sendall(generator.randbytes(size))
                    except OSError:
                        pass
        self.assertEqual(os.stat(self.node.socket).st_mode & 0o007, 0, "the status socket is open to everybody")
        self.undisturbed()


class Usage(Case):
    """Mistakes on the command line and in the files: told before anything is started."""

    needs_root = False

    def test_wrong_usage_exits_with_64(self):
        for command in (["edge"], ["edge", "view"], ["edge", "view", "CAM-1", "--frames", "many"], ["edge", "run", "--nonsense"],
                        ["edge-rendezvous"], ["edge-rendezvous", "grant", "anna"]):
            done = self.complete([self.program(command[0]), *command[1:]])
            self.assertEqual(done.returncode, 64, f"{command}: {done.stderr}")
            self.assertEqual(done.stdout, "", command)
            self.assertTrue(done.stderr.strip(), command)

    def test_help_goes_to_stdout(self):
        for command in (["edge", "--help"], ["edge", "view", "--help"], ["edge-rendezvous", "--help"]):
            done = self.complete([self.program(command[0]), *command[1:]])
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
            self.assertIn("view" if command[0] == "edge" else "account", done.stdout)

    def test_a_mistake_in_a_file_is_told_with_its_line(self):
        file = self.folder / "edge.yaml"
        file.write_text("node: { name: x }\nrendezvous:\n  uri: \"http://nonsense\"\n")
        done = self.complete([self.program("edge"), "run", "--config", file])
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertRegex(done.stderr, r"edge\.yaml:\d+")
        done = self.complete([self.program("edge"), "run", "--config", self.folder / "absent.yaml"])
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("absent.yaml", done.stderr)
